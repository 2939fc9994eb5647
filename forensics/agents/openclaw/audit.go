package openclaw

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Forms of an audit log that the agent keeps.
const (
	// AuditEvents is <state>/security/audit.jsonl. Each entry carries the hash of the one before and
	// its own, over its fields in a fixed order.
	// https://github.com/openclaw/openclaw, src/security/audit-log.ts (on branches alone in August 2026)
	AuditEvents = "events"
	// AuditTools is logs/audit-chain.ndjson. Each line carries the SHA-256 of the line before.
	// https://github.com/Nexus-Digital-Automations/openclaw, src/security/audit-chain.ts (a fork)
	AuditTools = "tools"
	// AuditConfig is <state>/logs/config-audit.jsonl, in which each write of the configuration names
	// the SHA-256 of what it replaced and of what it wrote. The lines themselves are not chained.
	// https://github.com/openclaw/openclaw, src/config/io.audit.ts
	AuditConfig = "config"
	// AuditPlain is anything else: nothing in it can be checked.
	AuditPlain = "plain"
)

// Verdicts on an audit log.
const (
	AuditIntact     = "intact"      // each entry follows the one before; that its end was cut does not show
	AuditBroken     = "broken"      // from line At on
	AuditNotChained = "not chained" // a changed line would not show
)

// Audit is what an audit log of the agent says about itself. Who owned the host could write all of
// it anew: "intact" speaks against a careless change and for no more.
type Audit struct {
	Form    string `json:"form"`
	Verdict string `json:"verdict"`
	Entries int    `json:"entries"`        // that agree, from the first on
	At      int    `json:"at,omitempty"`   // the line where it breaks, from 1
	Why     string `json:"why,omitempty"`  // it breaks
	Torn    bool   `json:"torn,omitempty"` // the last line is not whole, as after a crash
	Last    string `json:"last,omitempty"` // hash of the last entry that agrees
	Gaps    []Gap  `json:"gaps,omitempty"` // AuditConfig: changes that no write accounts for
	More    int    `json:"more_gaps,omitempty"`
}

// Gap is a line of AuditConfig that begins from another configuration than the line before it left:
// something else than the agent's own writer changed the file in between, or lines are missing.
type Gap struct {
	Line int    `json:"line"`
	Path string `json:"path"`  // of the configuration, as the line says
	Was  string `json:"was"`   // SHA-256 that the lines before left
	Is   string `json:"found"` // and that this line found
}

const (
	maxAuditLine  = 4 << 20
	maxGaps       = 100
	maxAuditPaths = 1000
)

// IsAuditLog reports whether a slash-separated path is that of an audit log that CheckAudit knows.
func IsAuditLog(path string) bool {
	for _, name := range []string{"security/audit.jsonl", "logs/audit-chain.ndjson", "logs/config-audit.jsonl"} {
		if path == name || strings.HasSuffix(path, "/"+name) {
			return true
		}
	}
	return false
}

// CheckAudit reads a captured audit log to its end or to where it breaks. An error is of reading.
func CheckAudit(r io.Reader) (Audit, error) {
	c := auditCheck{}
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := auditLine(lines)
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return c.end(), nil
		case errors.Is(err, io.EOF):
			c.audit.Torn = true
			return c.end(), nil
		case errors.Is(err, errLongLine):
			c.form(nil)
			c.breaks(n, err.Error())
			return c.end(), nil
		case err != nil:
			return c.end(), fmt.Errorf("line %d: %w", n, err)
		}
		if why := c.line(n, line); why != "" {
			c.breaks(n, why)
			return c.end(), nil
		}
	}
}

var errLongLine = fmt.Errorf("it has more than %d bytes", maxAuditLine)

// auditLine returns a line without its newline, and io.EOF with one that has none.
func auditLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > maxAuditLine:
			return nil, errLongLine
		}
	}
}

// auditCheck is a check on its way.
type auditCheck struct {
	audit Audit
	prev  string            // hash that the next entry has to carry
	left  map[string]string // AuditConfig: the hash of each configuration, as the lines so far left it
}

func (c *auditCheck) breaks(line int, why string) {
	if c.audit.Form == AuditEvents || c.audit.Form == AuditTools {
		c.audit.Verdict, c.audit.At, c.audit.Why = AuditBroken, line, why
	}
}

func (c *auditCheck) end() Audit {
	c.form(nil)
	c.audit.Last = c.prev
	if c.audit.Entries == 0 {
		c.audit.Last = ""
	}
	if c.audit.Verdict == "" {
		c.audit.Verdict = AuditNotChained
		if c.audit.Form == AuditEvents || c.audit.Form == AuditTools {
			c.audit.Verdict = AuditIntact
		}
	}
	return c.audit
}

// form settles the form by the first line.
func (c *auditCheck) form(fields object) {
	if c.audit.Form != "" {
		return
	}
	switch {
	case fields.has("prevHash", "hash", "seq", "event"):
		c.audit.Form, c.prev = AuditEvents, "GENESIS"
	case fields.has("prevLogHash"):
		c.audit.Form, c.prev = AuditTools, strings.Repeat("0", 64)
	case fields.has("event", "configPath"):
		c.audit.Form, c.left = AuditConfig, make(map[string]string)
	default:
		c.audit.Form = AuditPlain
	}
}

// line takes one line, and returns what is wrong with it.
func (c *auditCheck) line(n int, line []byte) (why string) {
	fields, ok := parseObject(line)
	c.form(fields)
	switch c.audit.Form {
	case AuditEvents:
		if !ok {
			return "it is not a JSON object"
		}
		why = c.event(fields)
	case AuditTools:
		if prev := fields.text("prevLogHash"); !ok || prev != c.prev {
			return fmt.Sprintf("it carries %.70q as the hash of the line before, which is %s", prev, c.prev)
		}
		c.prev = hashHex(line)
	case AuditConfig:
		c.config(n, fields)
	}
	if why == "" {
		c.audit.Entries++
	}
	return why
}

// event checks one entry of AuditEvents.
func (c *auditCheck) event(fields object) (why string) {
	if seq, want := string(fields.raw("seq")), strconv.Itoa(c.audit.Entries+1); seq != want {
		return fmt.Sprintf("entry %.20s stands where entry %s belongs", seq, want)
	}
	if prev := fields.text("prevHash"); prev != c.prev {
		return fmt.Sprintf("it carries %.70q as the hash of the entry before, which is %s", prev, c.prev)
	}
	event, ok := parseObject(fields.raw("event"))
	if !ok {
		return "its event is not a JSON object"
	}
	hash := hashHex(hashedEvent(fields, event))
	if said := fields.text("hash"); said != hash {
		return fmt.Sprintf("its hash is %s, and it says %.70q: it was changed", hash, said)
	}
	c.prev = hash
	return ""
}

// hashedEvent is the text that an entry's hash is of. The values stand in it as they stand in the
// line, since the program that writes both writes a value in one way.
func hashedEvent(fields, event object) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"seq":%s,"timestamp":%s,"prevHash":%s,"event":{`, fields.raw("seq"), fields.raw("timestamp"), fields.raw("prevHash"))
	comma := ""
	for _, key := range []string{"eventType", "timestamp", "severity", "action", "sessionKey", "channel", "detail", "meta"} {
		value := event.raw(key)
		if value == nil {
			continue
		}
		if meta, ok := parseObject(value); key == "meta" && ok {
			value = meta.sorted()
		}
		fmt.Fprintf(&b, "%s%q:%s", comma, key, value)
		comma = ","
	}
	b.WriteString("}}")
	return b.Bytes()
}

// config compares what a line of AuditConfig found with what the lines before it left.
func (c *auditCheck) config(n int, fields object) {
	path, found, left := fields.text("configPath"), fields.text("previousHash"), fields.text("nextHash")
	if fields.text("event") != "config.write" {
		found, left = fields.text("hash"), fields.text("hash")
	}
	was := c.left[path]
	if was != "" && found != "" && was != found {
		if len(c.audit.Gaps) < maxGaps {
			c.audit.Gaps = append(c.audit.Gaps, Gap{Line: n, Path: bounded(path), Was: bounded(was), Is: bounded(found)})
		} else {
			c.audit.More++
		}
	}
	if left = cmp.Or(left, found); left != "" && (was != "" || len(c.left) < maxAuditPaths) {
		c.left[path] = left // of a write that failed: what it found
	}
}

func bounded(text string) string { return strings.ToValidUTF8(text[:min(len(text), 256)], "") }

func hashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// object is a JSON object with its values as they are written. Of a key that stands in it twice the
// last one counts, as it does for the agent.
type object []member

type member struct {
	key    string
	quoted []byte
	value  json.RawMessage
}

// parseObject takes apart one JSON object.
func parseObject(raw []byte) (object, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var all object
	at := make(map[string]int)
	for d.More() {
		from := d.InputOffset()
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, false
		}
		m := member{key: key, quoted: bytes.TrimLeft(raw[from:d.InputOffset()], ", \t\r\n")}
		if err := d.Decode(&m.value); err != nil {
			return nil, false
		}
		if i, twice := at[key]; twice {
			all[i].value = m.value
			continue
		}
		at[key] = len(all)
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return all, errors.Is(err, io.EOF)
}

func (o object) raw(key string) json.RawMessage {
	for _, m := range o {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

func (o object) text(key string) string {
	var s string
	if json.Unmarshal(o.raw(key), &s) != nil {
		return ""
	}
	return s
}

func (o object) has(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return o.raw(k) == nil })
}

// sorted writes the object as the agent does after it has sorted its keys: those that are numbers
// first, as JavaScript keeps an object, and the others by their UTF-16 units.
func (o object) sorted() []byte {
	all := slices.Clone(o)
	slices.SortStableFunc(all, func(a, b member) int {
		m, isA := index(a.key)
		n, isB := index(b.key)
		switch {
		case isA && isB:
			return cmp.Compare(m, n)
		case isA:
			return -1
		case isB:
			return 1
		}
		return slices.Compare(utf16.Encode([]rune(a.key)), utf16.Encode([]rune(b.key)))
	})
	var b bytes.Buffer
	for i, m := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(m.quoted)
		b.WriteByte(':')
		b.Write(m.value)
	}
	return []byte("{" + b.String() + "}")
}

// index reports whether a key is what JavaScript takes for an array index.
func index(key string) (uint32, bool) {
	n, err := strconv.ParseUint(key, 10, 32)
	return uint32(n), err == nil && n < 1<<32-1 && strconv.FormatUint(n, 10) == key
}
