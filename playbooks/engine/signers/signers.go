// Package signers knows who may sign for whom: OpenSSH's list of allowed signers, and SSH
// signatures as ssh-keygen -Y makes and checks them.
package signers

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
)

// Bounds of a list. They are far above what people write.
const (
	maxList   = 1 << 20
	maxLine   = 32 << 10
	maxLines  = 10_000
	maxErrors = 20
	// MaxName bounds a principal, in bytes.
	MaxName = 256
	minRSA  = 2048 // bits
)

// Error is what is wrong with a list, and where.
type Error struct {
	File string
	Line int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// Signers is a list of allowed signers. The zero value allows nobody.
type Signers struct{ lines []line }

// line allows one key to sign as some principals.
type line struct {
	principals  string // a pattern list
	namespaces  string // a pattern list; "" for all
	validAfter  time.Time
	validBefore time.Time
	key         ssh.PublicKey
}

// Parse reads a list of allowed signers, as described in ssh-keygen(1) under ALLOWED SIGNERS
// (https://man.openbsd.org/ssh-keygen#ALLOWED_SIGNERS). Nothing in it is passed over: what this
// program does not support, such as certificate authorities, is an Error. All that is wrong is
// reported at once, joined.
func Parse(file string, src []byte) (Signers, error) {
	var s Signers
	var errs []error
	fail := func(n int, err error) { errs = append(errs, &Error{file, n, err.Error()}) }
	lines := strings.Split(string(src), "\n")
	if len(src) > maxList || len(lines) > maxLines {
		fail(1, fmt.Errorf("it has %d bytes in %d lines, more than %d in %d", len(src), len(lines), maxList, maxLines))
		return Signers{}, errors.Join(errs...)
	}
	for i, text := range lines {
		text = strings.Trim(strings.TrimSuffix(text, "\r"), " \t")
		if text == "" || text[0] == '#' {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			if fail(i+1, err); len(errs) == maxErrors {
				break
			}
			continue
		}
		s.lines = append(s.lines, l)
	}
	if len(errs) > 0 {
		return Signers{}, errors.Join(errs...)
	}
	return s, nil
}

// parseLine reads PRINCIPALS [OPTIONS] KEYTYPE BASE64 [COMMENT].
func parseLine(text string) (line, error) {
	var l line
	if len(text) > maxLine {
		return l, fmt.Errorf("more than %d bytes", maxLine)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return l, errors.New("there are characters in it that are no text")
	}
	var rest string
	var err error
	if l.principals, rest, err = cutPrincipals(text); err != nil {
		return l, err
	}
	if word, _ := cutWord(rest); !keyTypes[word] {
		var options string
		if options, rest, err = cutOptions(rest); err == nil {
			err = l.parseOptions(options)
		}
		if err != nil {
			return l, err
		}
	}
	l.key, err = parseKey(rest)
	return l, err
}

// cutPrincipals cuts the patterns of the principals off, which may stand in quotes.
func cutPrincipals(text string) (principals, rest string, err error) {
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		principals, rest, ok = strings.Cut(quoted, `"`)
		if !ok || rest == "" || !blank(rest[0]) {
			return "", "", errors.New("the quotes of the principals are not closed")
		}
		rest = strings.TrimLeft(rest, " \t")
	} else {
		principals, rest = cutWord(text)
	}
	if principals == "" || strings.Contains(principals, `"`) {
		return "", "", errors.New("the line begins with no list of principals")
	}
	return principals, rest, nil
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func cutWord(text string) (word, rest string) {
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimLeft(text[i:], " \t")
}

// cutOptions cuts the options off: they end with the first blank outside quotes.
func cutOptions(text string) (options, rest string, err error) {
	quoted := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' && (i == 0 || text[i-1] != '\\'):
			quoted = !quoted
		case blank(c) && !quoted:
			return text[:i], strings.TrimLeft(text[i:], " \t"), nil
		}
	}
	if quoted {
		return "", "", errors.New("the quotes of an option are not closed")
	}
	return "", "", errors.New("there is no key in it")
}

func (l *line) parseOptions(options string) error {
	seen := make(map[string]bool)
	for options != "" {
		name, value, rest, err := cutOption(options)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("the option %s stands twice", name)
		}
		seen[name], options = true, rest
		switch name {
		case "namespaces":
			if l.namespaces = value; value == "" {
				return errors.New("namespaces names none")
			}
		case "valid-after":
			l.validAfter, err = parseTime(value)
		case "valid-before":
			l.validBefore, err = parseTime(value)
		case "cert-authority":
			return errors.New("cert-authority is not supported: list the keys of the people themselves")
		default:
			return fmt.Errorf("the option %.40q is not supported, and it may restrict the key", name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !l.validAfter.IsZero() && !l.validBefore.IsZero() && !l.validAfter.Before(l.validBefore) {
		return errors.New("it is valid at no time: valid-before has to be later than valid-after")
	}
	return nil
}

// cutOption cuts one option off the list: NAME or NAME="VALUE". Names are lower case then.
func cutOption(options string) (name, value, rest string, err error) {
	end := strings.IndexAny(options, `=,"`)
	if end < 0 {
		return strings.ToLower(options), "", "", nil
	}
	name, rest = strings.ToLower(options[:end]), options[end:]
	if after, ok := strings.CutPrefix(rest, `="`); ok {
		var closed bool
		value, rest, closed = strings.Cut(after, `"`)
		if !closed || strings.Contains(value, `\`) {
			return "", "", "", fmt.Errorf("the value of %.40s is not one text in quotes", name)
		}
	}
	if rest == "" {
		return name, value, "", nil
	}
	rest, ok := strings.CutPrefix(rest, ",")
	if !ok || rest == "" || name == "" {
		return "", "", "", errors.New(`options are written NAME="VALUE",NAME="VALUE"`)
	}
	return name, value, rest, nil
}

// parseTime reads YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z]; without a Z it is in the time of this machine.
func parseTime(text string) (time.Time, error) {
	digits, utc := strings.CutSuffix(text, "Z")
	in := time.Local
	if utc {
		in = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) != len(layout) {
			continue
		}
		if t, err := time.ParseInLocation(layout, digits, in); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time such as 20260131Z or 202601312359Z", text)
}

// keyTypes are the keys that can sign for a person.
var keyTypes = map[string]bool{
	ssh.KeyAlgoED25519: true, ssh.KeyAlgoSKED25519: true, ssh.KeyAlgoSKECDSA256: true, ssh.KeyAlgoRSA: true,
	ssh.KeyAlgoECDSA256: true, ssh.KeyAlgoECDSA384: true, ssh.KeyAlgoECDSA521: true,
}

func parseKey(text string) (ssh.PublicKey, error) {
	typ, rest := cutWord(text)
	encoded, _ := cutWord(rest)
	if !keyTypes[typ] {
		return nil, fmt.Errorf("%.40q is no type of key that is supported here", typ)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("the key is not in base64")
	}
	key, err := ssh.ParsePublicKey(raw)
	if err != nil || key.Type() != typ {
		return nil, fmt.Errorf("the key is not one of type %s", typ)
	}
	return key, strong(key)
}

// strong refuses keys that can be broken.
func strong(key ssh.PublicKey) error {
	if !keyTypes[key.Type()] {
		return fmt.Errorf("keys of type %.60s are not supported here", key.Type())
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
			return fmt.Errorf("an RSA key of %d bits is too weak: at least %d", r.N.BitLen(), minRSA)
		}
	}
	return nil
}

// Allow returns nil when the list allows key to sign as principal in namespace at that time, and
// otherwise why not.
func (s Signers) Allow(principal string, key ssh.PublicKey, namespace string, at time.Time) error {
	if err := CheckName(principal); err != nil {
		return err
	}
	why := fmt.Errorf("the list of allowed signers does not give the key %s to %s", ssh.FingerprintSHA256(key), principal)
	for _, l := range s.lines {
		if !same(l.key, key) || !matchList(principal, l.principals) {
			continue
		}
		switch {
		case l.namespaces != "" && !matchList(namespace, l.namespaces):
			why = fmt.Errorf("the list of allowed signers does not allow the key of %s for %s", principal, namespace)
		case !l.validAfter.IsZero() && at.Before(l.validAfter):
			why = fmt.Errorf("the key of %s is not valid before %s", principal, l.validAfter.UTC().Format(time.RFC3339))
		case !l.validBefore.IsZero() && at.After(l.validBefore):
			why = fmt.Errorf("the key of %s is not valid after %s", principal, l.validBefore.UTC().Format(time.RFC3339))
		default:
			return nil
		}
	}
	return why
}

// Keys returns the fingerprints of all keys that the list gives to a principal, whatever else
// restricts them.
func (s Signers) Keys(principal string) []string {
	var prints []string
	for _, l := range s.lines {
		if print := ssh.FingerprintSHA256(l.key); matchList(principal, l.principals) && !slices.Contains(prints, print) {
			prints = append(prints, print)
		}
	}
	return prints
}

// Names returns the principals that the list names in full, with key alone or, with nil, with any.
func (s Signers) Names(key ssh.PublicKey) []string {
	var names []string
	for _, l := range s.lines {
		if key != nil && !same(l.key, key) {
			continue
		}
		for name := range strings.SplitSeq(l.principals, ",") {
			if CheckName(name) == nil && matchList(name, l.principals) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// CheckName refuses what is no name of one principal.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsAny(name, `*?!,"\`) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }) {
		return fmt.Errorf("%.80q is no name of one person", name)
	}
	return nil
}

func same(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) }

// matchList matches as ssh_config(5) says under PATTERNS: one pattern has to match, and none that
// is negated.
func matchList(name, patterns string) bool {
	matched := false
	for p := range strings.SplitSeq(patterns, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if !match(name, p) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// match matches with * and ?, byte by byte, in time bounded by the product of the lengths.
func match(name, pattern string) bool {
	n, p, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			n, p = n+1, p+1
		case star >= 0:
			from++
			n, p = from, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
