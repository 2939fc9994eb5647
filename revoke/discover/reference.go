package discover

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// secretsProvider is an entry of secrets.providers in the configuration.
type secretsProvider struct{ source, path, mode string }

// maxSecretsFile is the bound that OpenClaw sets itself: https://docs.openclaw.ai/gateway/secrets
const maxSecretsFile = 1 << 20

var (
	// Upper case only, as in OpenClaw: https://docs.openclaw.ai/help/environment
	reference      = lazyregexp.New(`\$?\$\{(?:[A-Z_][A-Z0-9_]{0,127}|(?:go)?pass:[^{}]{1,256})\}`)
	variableFormat = lazyregexp.New(`\A[A-Z_][A-Z0-9_]{0,127}\z`)
)

// expand replaces ${VAR} by what the files of the installation set it to. Where that fails it
// reports the candidate as unresolved and returns false: it still names a live credential.
func (r *reader) expand(text string, c candidate) (string, candidate, bool) {
	if !strings.Contains(text, "$") {
		return text, c, true
	}
	if name, ok := strings.CutPrefix(text, "$"); ok && variableFormat.MatchString(name) {
		text = "${" + name + "}"
	}
	missing := ""
	out := reference().ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, "$$") {
			return m[1:]
		}
		name := m[2 : len(m)-1]
		v, ok := r.agent.env[name]
		switch {
		case strings.Contains(name, ":"):
			missing = "exec:" + name
		case !ok:
			missing = "env:" + name
		default:
			c.source.Note = join(r.doc.note, fmt.Sprintf("from %s:%d", v.path, v.line))
		}
		return v.value
	})
	if missing == "" {
		return out, c, true
	}
	why := "a command, never run"
	if strings.HasPrefix(missing, "env:") {
		why = "its variable is set in no file that was read"
	}
	r.unresolved(c, missing, why)
	return "", c, false
}

// unresolved reports that a credential exists, and that its secret does not stand here.
func (r *reader) unresolved(c candidate, id, why string) {
	if c.source.Path == "" {
		return // asked for a value beside the one that is reported
	}
	for piece := range strings.SplitSeq(id, ":") {
		if _, secret := credential.Recognize(piece); secret {
			id = c.source.String() // somebody put the secret itself where its name belongs
		}
	}
	c.unresolved, c.ref = why, map[string]string{"id": clean(id, 300)}
	r.report(c)
}

// isReference reports whether an object is a secret reference: {source, provider, id}.
func (r *reader) isReference(object string) bool {
	source, ok := r.sibling(object, "source")
	if !ok || !source.str {
		return false
	}
	if _, ok := r.sibling(object, "id"); !ok {
		return false
	}
	switch source.text {
	case "env", "file", "exec", "store":
		return true
	}
	return false
}

// reference reports what a secret reference leads to. l is its source; its line is the reference's.
func (r *reader) reference(l leaf) {
	id, _ := r.sibling(l.parent(), "id")
	alias, _ := r.sibling(l.parent(), "provider")
	c := r.referenced(l.path[:len(l.path)-1])
	c.source.Line = l.line
	switch l.text {
	case "env":
		if !variableFormat.MatchString(id.text) {
			r.unresolved(c, "env:"+c.source.String(), "the reference names no variable")
			return
		}
		if text, c, ok := r.expand("${"+id.text+"}", c); ok {
			c.parts = map[string]string{"value": text}
			r.report(c)
		}
	case "file":
		r.fileReference(c, alias.text, id.text)
	case "store":
		r.storeReference(c, alias.text, id.text)
	default:
		r.unresolved(c, l.text+":"+alias.text+":"+id.text, l.text+" reference, never run")
	}
}

// referenced is what the place of a reference says of its secret. "keyRef" stands for "key".
func (r *reader) referenced(object []json5.Step) candidate {
	if len(object) <= r.doc.prefix {
		return candidate{source: credential.Source{Path: r.doc.at, Note: r.doc.note}}
	}
	c := candidate{source: r.source(leaf{path: object})}
	plain := slices.Clone(object)
	plain[len(plain)-1].Key = strings.TrimSuffix(plain[len(plain)-1].Key, "Ref")
	row, wild, ok := r.row(plain)
	if !ok {
		return c
	}
	source := c.source
	c = r.candidate(leaf{path: plain}, row, wild)
	c.source = source
	if row.holds == aVariable {
		c.provider, c.kind, _ = classifyVariable(plain[len(plain)-1].Key, "a secret by reference")
	}
	return c
}

// fileReference follows a reference into a file of secrets.
func (r *reader) fileReference(c candidate, alias, id string) {
	p, ok := r.agent.alias[alias]
	if !ok || p.source != "file" || p.path == "" {
		r.unresolved(c, "file:"+alias+":"+id, "the configuration names no file for it")
		return
	}
	value, where, err := r.fileSecret(r.agent.hostPath(p.path, r.doc.base()), p.mode, id)
	if err != nil {
		r.unresolved(c, "file:"+alias+":"+id, "its file: "+openclaw.ProblemOf("", err).Reason)
		return
	}
	c.parts = map[string]string{"value": value}
	file := c
	file.source = where
	r.report(file)
	c.source.Note = join(r.doc.note, fmt.Sprintf("from %s:%d", where.Path, where.Line))
	r.report(c)
}

var errNoSuchSecret = errors.New("no such secret in the file")

// fileSecret reads one secret of a secrets file: all of it, or what a JSON pointer leads to.
func (s *scan) fileSecret(name, mode, id string) (string, credential.Source, error) {
	at, err := openclaw.Resolve(s.root, name)
	if err != nil {
		return "", credential.Source{}, err
	}
	if !s.mayRead(at) {
		return "", credential.Source{}, errors.New("belongs to another account, and the agent's may not read it: left alone")
	}
	data, err := openclaw.ReadFile(s.root, at, maxSecretsFile)
	if err != nil {
		return "", credential.Source{}, err
	}
	s.summary.Files++
	s.summary.Bytes += int64(len(data))
	if mode == "singleValue" {
		return strings.TrimSpace(string(data)), credential.Source{Path: at, Line: 1}, nil
	}
	var value string
	where := credential.Source{Path: at}
	err = json5.Scan(data, func(v json5.Value) {
		if v.Kind == json5.String && pointer(v.Path) == id {
			value, where.Line, where.Locator = v.Text, v.Line, locator(v.Path)
		}
	})
	switch {
	case value != "":
		return value, where, nil
	case err != nil:
		return "", where, err
	}
	return "", where, errNoSuchSecret
}

// pointer writes a path as a JSON pointer (RFC 6901).
func pointer(p []json5.Step) string {
	var b strings.Builder
	for _, s := range p {
		b.WriteByte('/')
		if s.Index >= 0 {
			fmt.Fprint(&b, s.Index)
		} else {
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(s.Key))
		}
	}
	return b.String()
}

// secretFile reports a secret that stands alone in a file of its own.
func (r *reader) secretFile(l leaf, c candidate) {
	name, c, ok := r.expand(l.text, c)
	if !ok || placeholder(name) {
		return
	}
	c.complete(r.besideLeaf(l))
	if _, secret := credential.Recognize(name); secret || strings.Contains(name, "-----BEGIN ") { // the secret instead of its file's name
		c.parts = map[string]string{"value": name}
		r.report(c)
		return
	}
	value, where, err := r.fileSecret(r.agent.hostPath(name, r.doc.base()), "singleValue", "value")
	if err != nil { // the name is not quoted: it may be a secret of no known format
		r.unresolved(c, "file:"+c.source.String(), "its file: "+openclaw.ProblemOf("", err).Reason)
		return
	}
	c.parts = map[string]string{"value": value}
	where.Note = join(r.doc.note, "named by "+locator(l.path[r.doc.prefix:])+" of "+path.Base(r.doc.at))
	c.source = where
	r.report(c)
}
