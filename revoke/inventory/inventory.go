// Package inventory reads what an organisation keeps of its credentials: what names each one, who
// answers for it, what it is for, and when it is due. No item holds a secret.
package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// Bounds of an inventory.
const (
	MaxItems = 2000
	maxText  = 500 // characters of a field
	maxData  = 50  // types of data
)

// day is how dates are written.
const day = time.DateOnly

var provider = lazyregexp.New(`\A[a-z0-9][a-z0-9._-]{0,63}\z`)

// Check refuses what could never match, is not whole, or may be a secret. No error quotes a value
// that may be one.
func Check(items []incident.InventoryItem) error {
	if len(items) > MaxItems {
		return fmt.Errorf("inventory has %d items, more than %d", len(items), MaxItems)
	}
	seen := make(map[string]int)
	for n, item := range items {
		if err := check(item); err != nil {
			return fmt.Errorf("inventory[%d]: %w", n, err)
		}
		if before, twice := seen[item.ID()]; twice {
			return fmt.Errorf("inventory[%d]: it names the same credential as inventory[%d]", n, before)
		}
		seen[item.ID()] = n
	}
	return nil
}

func check(item incident.InventoryItem) error {
	if len(item.Data) > maxData {
		return fmt.Errorf("data lists %d types, more than %d", len(item.Data), maxData)
	}
	all := texts(item)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := checkText(all[name]); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	if !provider.MatchString(item.Provider) {
		return errors.New("provider is missing, or none: write it as clawback discover shows it, for example github")
	}
	if item.Kind != "" {
		if k, ok := credential.Lookup(item.Kind); !ok || k.Provider != "" && k.Provider != item.Provider {
			return fmt.Errorf("kind %q is none of %s: write it as clawback discover shows it", item.Kind, item.Provider)
		}
	}
	if item.Masked == "" && item.KeyID == "" && item.Account == "" {
		return errors.New("nothing names the credential: write masked, key_id or account")
	}
	if prefix, end, ok := strings.Cut(item.Masked, "…"); item.Masked != "" && (!ok || utf8.RuneCountInString(end) != 4 || len(prefix) > 64) {
		return errors.New("masked is not what clawback shows: a prefix, … and the last four characters; where it shows fewer, write key_id or account")
	}
	for _, due := range [][2]string{{"review", item.Review}, {"rotation", item.Rotation}} {
		if _, err := time.Parse(day, due[1]); due[1] != "" && err != nil {
			return fmt.Errorf("%s is not a day: write it as 2026-12-31", due[0])
		}
	}
	return nil
}

// texts are the fields of an item by their names.
func texts(item incident.InventoryItem) map[string]string {
	all := map[string]string{
		"provider": item.Provider, "kind": item.Kind, "masked": item.Masked, "key_id": item.KeyID, "account": item.Account,
		"owner": item.Owner, "purpose": item.Purpose, "breaks": item.Breaks, "review": item.Review, "rotation": item.Rotation,
	}
	for i, d := range item.Data {
		all[fmt.Sprintf("data[%d]", i)] = d
	}
	return all
}

func checkText(text string) error {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("holds characters that cannot be printed")
	case utf8.RuneCountInString(text) > maxText:
		return fmt.Errorf("has more than %d characters", maxText)
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`,;"'()`, r) }) {
		if k, ok := credential.Recognize(word); ok && !public(k) {
			return fmt.Errorf("looks like a secret (%s): an inventory holds none, only what names them", k.Name)
		}
	}
	return nil
}

// public reports whether values of a kind's format are what names it, and no secret.
func public(k credential.Kind) bool { return k.NamePart != "" && k.NamePart != "value" }

// Overdue is an item whose review or rotation should have been done.
type Overdue struct {
	incident.InventoryItem
	For  string `json:"overdue_for"` // "review" or "rotation"
	Days int    `json:"overdue_days"`
}

// Review lists what is overdue on a day: what had to be done by an earlier one. Dates are in UTC.
// The items have passed Check.
func Review(items []incident.InventoryItem, now time.Time) []Overdue {
	today, _ := time.Parse(day, now.UTC().Format(day))
	var all []Overdue
	for _, item := range items {
		for _, due := range [][2]string{{"review", item.Review}, {"rotation", item.Rotation}} {
			if by, err := time.Parse(day, due[1]); err == nil && by.Before(today) {
				all = append(all, Overdue{item, due[0], int(today.Sub(by).Hours() / 24)})
			}
		}
	}
	return all
}
