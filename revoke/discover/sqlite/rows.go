package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/lazyregexp"
)

// column is an ordinary column of a table.
type column struct {
	name string
	key  int // its place in the primary key, from 1; 0: none
}

// columns lists the columns of a table that hold what was stored in them: neither generated ones,
// which run an expression of the file's, nor hidden ones.
func (r *reader) columns(table string) ([]column, error) {
	rows, err := r.conn.QueryContext(r.ctx, "PRAGMA table_xinfo("+quote(table)+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []column
	for rows.Next() && len(out) < maxColumns {
		var id, name, typ, notNull, value, key, hidden any
		if err := rows.Scan(&id, &name, &typ, &notNull, &value, &key, &hidden); err != nil {
			return nil, err
		}
		if text, ok := name.(string); ok && hidden == int64(0) {
			place, _ := key.(int64)
			out = append(out, column{text, int(place)})
		}
	}
	return out, rows.Err()
}

// wanted hands on the rows of a table that the search asks for.
func (r *reader) wanted(t discover.Table, name string) {
	all, err := r.columns(name)
	if err == nil && len(all) == 0 {
		err = errors.New("its entry in the schema is broken")
	}
	if err != nil {
		r.problem("table %s was not read: %s", t.Name, r.fault(err))
		return
	}
	has := func(name string) bool { return slices.ContainsFunc(all, func(c column) bool { return c.name == name }) }
	if !slices.ContainsFunc(t.Columns, has) && r.rows(name) { // versions differ in the columns that they have
		r.problem("table %s has rows and no column %s: it was not understood", t.Name, strings.Join(t.Columns, " or "))
	}
	most, noted, suspect := maxRows, false, map[string]bool{}
	if t.Text {
		most = maxTranscript
		all = slices.DeleteFunc(all, func(c column) bool { return c.key == 0 && !slices.Contains(t.Columns, c.name) })
	}
	n, err := r.scan(name, all, most, func(number int64, cells []cell) {
		row := discover.Row{Table: t.Name, Number: number, Cells: map[string]string{}}
		var key [8]string
		for i, c := range cells {
			if c.long && slices.Contains(t.Columns, all[i].name) && !noted {
				noted = true
				r.problem("table %s: column %s of row %d is longer than %d bytes: left out", t.Name, all[i].name, number, maxCell)
			}
			if !t.Text && len(c.text) >= 8 && secretColumn.MatchString(all[i].name) && !slices.Contains(t.Columns, all[i].name) {
				suspect[all[i].name] = true
			}
			if !c.null && !c.long {
				row.Cells[all[i].name] = c.text
				if k := all[i].key; k > 0 && k <= len(key) && len(c.text) <= 256 {
					key[k-1] = c.text
				}
			}
		}
		row.Key = strings.Trim(strings.Join(key[:], "/"), "/")
		r.row(row)
	})
	r.end(t.Name, n, most, err)
	r.suspect(t.Name, suspect)
}

// end says why the rows of a table are not all of them.
func (r *reader) end(table string, n, most int, err error) {
	switch {
	case err != nil:
		r.problem("table %s was read up to row %d: %s", table, n, r.fault(err))
	case n >= most:
		r.problem("table %s has more than %d rows: the rest was not read", table, most)
	}
}

func (r *reader) rows(table string) bool {
	rows, err := r.conn.QueryContext(r.ctx, "SELECT 1 FROM "+quote(table)+" NOT INDEXED LIMIT 1")
	if err != nil {
		return true
	}
	defer rows.Close()
	return rows.Next()
}

// cell is one value as text.
type cell struct {
	text       string
	null, long bool
}

// scan reads a table from its first row to its last, without any index.
func (r *reader) scan(table string, columns []column, most int, row func(number int64, cells []cell)) (int, error) {
	var what strings.Builder
	for _, c := range columns {
		q := quote(c.name)
		fmt.Fprintf(&what, ", octet_length(%s), CASE WHEN octet_length(%s) <= %d THEN %s END", q, q, maxCell, q)
	}
	rows, err := r.conn.QueryContext(r.ctx, "SELECT 0"+what.String()+" FROM "+quote(table)+" NOT INDEXED LIMIT "+strconv.Itoa(most))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	values := make([]any, 1+2*len(columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	n := 0
	for rows.Next() {
		if r.ctx.Err() != nil {
			return n, r.ctx.Err()
		}
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		n++
		cells := make([]cell, len(columns))
		for i := range cells {
			cells[i] = cellOf(values[1+2*i], values[2+2*i])
		}
		row(int64(n), cells)
	}
	return n, rows.Err()
}

// cellOf makes text of a value, whatever type stands in a column: SQLite holds nobody to the declared one.
func cellOf(size, value any) cell {
	switch v := value.(type) {
	case string:
		return cell{text: v}
	case []byte:
		return cell{text: string(v)}
	case int64:
		return cell{text: strconv.FormatInt(v, 10)}
	case float64:
		return cell{text: strconv.FormatFloat(v, 'f', -1, 64)}
	}
	n, _ := size.(int64)
	return cell{null: n <= maxCell, long: n > maxCell}
}

// sample is how many rows of a table that nobody asked for are looked at.
const sample = 500

var (
	secretColumn = lazyregexp.New(`(?i)(?:^|_)(?:tokens?|secrets?|passwords?|passwd|passphrase|api_?keys?|private_?key|credentials?|cookies?|auth)(?:_(?:json|pem|value|text))?$`)
	// What the agent's own schema has of such names and is no secret.
	plainTables = map[string]bool{"schema_meta": true}
)

// others names the tables that the search does not know and that look as if they held secrets.
func (r *reader) others(tables map[string]string) {
	names := make([]string, 0, len(tables))
	for _, name := range tables {
		if !plainTables[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if r.ctx.Err() != nil {
			r.problem("not every table was looked at: %s", r.fault(r.ctx.Err()))
			return
		}
		r.other(name)
	}
}

func (r *reader) other(name string) {
	all, err := r.columns(name)
	if err != nil {
		r.problem("table %s was not looked at: %s", shown(name), r.fault(err))
		return
	}
	if len(all) == 0 {
		r.problem("table %s was not looked at: its entry in the schema is broken", shown(name))
		return
	}
	suspect := map[string]bool{}
	n, err := r.scan(name, all, sample, func(_ int64, cells []cell) {
		for i, c := range cells {
			if !suspect[all[i].name] && (c.long || len(c.text) >= 8) && looksSecret(all[i].name, c.text) {
				suspect[all[i].name] = true
			}
		}
	})
	if err != nil {
		r.problem("table %s was looked at up to row %d: %s", shown(name), n, r.fault(err))
	}
	r.suspect(name, suspect)
}

// suspect names columns that nobody understood.
func (r *reader) suspect(table string, columns map[string]bool) {
	if len(columns) == 0 {
		return
	}
	var names []string
	for c := range columns {
		names = append(names, shown(c))
	}
	slices.Sort(names)
	r.problem("table %s was not understood, and may hold secrets in %s: look at it by hand", shown(table), strings.Join(names, ", "))
}

// looksSecret reports whether a value has the format of a secret, or stands where its name says one.
func looksSecret(column, text string) bool {
	if secretColumn.MatchString(column) {
		return true
	}
	if len(text) > 64<<10 {
		text = text[:64<<10]
	}
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return c <= ' ' || strings.ContainsRune("\"'`,;(){}[]<>\\=:", c) }) {
		if len(word) >= 18 {
			if _, ok := credential.Recognize(word); ok {
				return true
			}
		}
	}
	return false
}

var plainName = lazyregexp.New(`\A[A-Za-z0-9_$.-]{1,64}\z`)

// shown is a name of the file's in a message. One that is a secret itself is not shown.
func shown(name string) string {
	if _, secret := credential.Recognize(name); secret || !utf8.ValidString(name) {
		return "[a name that is not shown]"
	}
	if !plainName.MatchString(name) {
		return strconv.QuoteToASCII(name[:min(len(name), 64)])
	}
	return name
}
