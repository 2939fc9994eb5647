package inventory

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"clawback/forensics/incident"
)

// MaxFile bounds a file to import, in bytes.
const MaxFile = 1 << 20

// Columns are what the header of a file can name, in any order. Types of data are divided by
// semicolons.
var Columns = []string{"provider", "kind", "masked", "key_id", "account", "owner", "purpose", "data", "breaks", "review", "rotation"}

// Import reads comma-separated values with a header. No error quotes a value: what stands there may
// be a secret in the wrong column.
func Import(r io.Reader) ([]incident.InventoryItem, error) {
	lines := csv.NewReader(io.LimitReader(r, MaxFile+1))
	header, err := lines.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty: the first line names the columns, of " + strings.Join(Columns, ", "))
	case err != nil:
		return nil, readError(err)
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	var items []incident.InventoryItem
	for {
		values, err := lines.Read()
		if lines.InputOffset() > MaxFile {
			return nil, fmt.Errorf("it has more than %d bytes", MaxFile)
		}
		if errors.Is(err, io.EOF) {
			return items, Check(items)
		}
		if err != nil {
			return nil, readError(err)
		}
		if len(items) == MaxItems {
			return nil, fmt.Errorf("it has more than %d items", MaxItems)
		}
		item := itemOf(header, values)
		if err := check(item); err != nil {
			line, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		items = append(items, item)
	}
}

func checkHeader(header []string) error {
	seen := make(map[string]bool)
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // as spreadsheets begin a file
		}
		name = strings.ToLower(strings.TrimSpace(name))
		header[i] = name
		if !slices.Contains(Columns, name) || seen[name] {
			return fmt.Errorf("column %d of the header is none of %s, or there twice", i+1, strings.Join(Columns, ", "))
		}
		seen[name] = true
	}
	if !seen["provider"] {
		return errors.New("the header names no column provider")
	}
	return nil
}

func itemOf(header, values []string) incident.InventoryItem {
	var item incident.InventoryItem
	fields := map[string]*string{
		"provider": &item.Provider, "kind": &item.Kind, "masked": &item.Masked, "key_id": &item.KeyID, "account": &item.Account,
		"owner": &item.Owner, "purpose": &item.Purpose, "breaks": &item.Breaks, "review": &item.Review, "rotation": &item.Rotation,
	}
	for i, name := range header {
		value := strings.TrimSpace(values[i])
		if to := fields[name]; to != nil {
			*to = value
			continue
		}
		for _, kind := range strings.Split(value, ";") {
			if kind = strings.TrimSpace(kind); kind != "" {
				item.Data = append(item.Data, kind)
			}
		}
	}
	return item
}

// readError is an error of the form, without what stands there.
func readError(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("line %d: %w", parse.Line, parse.Err)
	}
	return err
}
