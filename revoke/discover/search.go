package discover

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// reader searches one document by the rows of the table for its file.
type reader struct {
	*scan
	doc      *document
	rows     []pattern
	provider string // of the whole document, where its name tells
	lastUsed map[string]time.Time
	objects  map[string]*object
	joined   map[string]bool   // objects whose parts were put together to one secret
	servers  map[string]bool   // of a kubeconfig's clusters
	users    map[string]string // of a token cache's accounts, by the accounts' ids
	aws      map[string]bool   // objects that were searched for access keys, and whether one was there
}

// document searches a JSON file by the rows of the table for file.
func (s *scan) document(d *document, file, provider string, lastUsed map[string]time.Time) {
	s.perFile = 0
	r := reader{scan: s, doc: d, provider: provider, lastUsed: lastUsed, objects: d.objects(), joined: map[string]bool{}, aws: map[string]bool{}}
	for _, row := range s.places {
		if row.file == file {
			r.rows = append(r.rows, newPattern(row))
		}
	}
	for _, l := range d.leaves {
		if s.ctx.Err() != nil || s.perFile > maxPerFile {
			return
		}
		r.leaf(l)
	}
	for _, c := range d.comments {
		s.sweep(d.at, c.text, c.line, join(d.note, "in a comment"))
	}
	s.sweep(d.at, string(d.rest), d.restLine, join(d.note, "behind a syntax error"))
}

// leaf reports what one value holds.
func (r *reader) leaf(l leaf) {
	if !l.str {
		return
	}
	if r.isReference(l.parent()) {
		if l.key() == "source" {
			r.reference(l)
		}
		return
	}
	if part, _ := awsPart(l.key()); part != "" && r.accessKey(l) {
		return
	}
	row, wild, ok := r.row(l.path)
	if !ok {
		r.unexpected(l)
		return
	}
	c := r.candidate(l, row, wild)
	switch {
	case row.holds == aManifest:
		r.manifest(l, c)
	case row.holds == aFile:
		r.secretFile(l, c)
	case row.holds == aCommand:
		r.unresolved(c, "exec:"+c.source.Locator, "a program or a service gives it: never run, never asked")
	case row.holds == aHelper:
		r.unresolved(c, "store:"+c.source.Locator, "kept by a credential helper, which is never asked")
	case row.holds == aLogin:
		user, password, ok := login(l.text)
		if !ok {
			return
		}
		c.owner, c.parts = user, map[string]string{"value": password}
		if deployUser.MatchString(user) {
			c.provider, c.kind = "gitlab", "gitlab.deploy_token"
			c.complete(func(key string) string { return map[string]string{"login": user}[key] })
		}
		r.report(c)
	case row.part != "":
		r.parts(l, row, c)
	default:
		r.value(l, row, c)
	}
}

// sibling returns the value at a key of an object.
func (r *reader) sibling(object, key string) (leaf, bool) {
	if o := r.objects[object]; o != nil {
		if i, ok := o.byKey[key]; ok {
			return r.doc.leaves[i], true
		}
	}
	return leaf{}, false
}

// row finds the row of the table for a path.
func (r *reader) row(p []json5.Step) (row place, wild string, ok bool) {
	for _, row := range r.rows {
		if wild, ok := row.match(p); ok {
			return row.place, wild, true
		}
	}
	return place{}, "", false
}

// candidate is what a leaf's place says of the secret that stands there.
func (r *reader) candidate(l leaf, row place, wild string) candidate {
	object := l.parent()
	c := candidate{provider: row.provider, kind: row.kind, source: r.source(l), endpoint: r.endpoint(l.path)}
	if c.provider == "" {
		c.provider = r.provider
		if p, ok := r.sibling(object, "provider"); ok && p.str {
			c.provider = providerName(p.text)
		} else if wild != "" {
			c.provider = providerName(wild)
		}
	}
	for _, key := range []string{"expires", "expiresAt", "expires_at", "Expiration", "expires_on", "expiresOn", "token_expiry"} {
		if when, ok := r.sibling(object, key); ok && c.expires.IsZero() {
			c.expires = moment(when.text)
		}
	}
	if c.lastUsed = r.lastUsed[wild]; c.lastUsed.IsZero() {
		if when, ok := r.sibling(object, "lastUsedAtMs"); ok {
			c.lastUsed = millis(when.text)
		}
	}
	if when, ok := r.sibling(object, "revokedAtMs"); ok {
		if at := millis(when.text); !at.IsZero() {
			c.source.Note = join(c.source.Note, "marked as revoked on "+at.Format(time.DateOnly))
		}
	}
	r.about(l, row, &c)
	return c
}

func (r *reader) source(l leaf) credential.Source {
	return credential.Source{Path: r.doc.at, Locator: r.doc.row + locator(l.path[r.doc.prefix:]), Line: l.line, Note: r.doc.note}
}

// value reports a secret that is one string, or names one.
func (r *reader) value(l leaf, row place, c candidate) {
	text := l.text
	if row.file == "agents/*/agent/models.json" || strings.HasSuffix(row.path, ".apiKey") {
		if command, ok := strings.CutPrefix(text, "!"); ok && command != "" {
			r.unresolved(c, "exec:"+c.source.Locator, "a command, never run")
			return
		}
		if _, set := r.agent.env[text]; variableFormat.MatchString(text) && (set || secretNamed(text)) {
			text = "${" + text + "}" // pi's models.json names the variable alone
		}
	}
	asked := c
	if row.holds != aSecret && !secretNamed(l.key()) {
		asked.source.Path = "" // "${HOME}/bin" is no secret that is missing
	}
	text, asked, ok := r.expand(text, asked)
	if !ok {
		return
	}
	c.source.Note = asked.source.Note
	switch row.holds {
	case aHeader:
		secret, provider, kind, ok := classifyHeader(c.provider, l.key(), text)
		if !ok {
			return
		}
		c.provider, c.kind, text = provider, kind, secret
	case aVariable:
		provider, kind, ok := classifyVariable(l.key(), text)
		if !ok {
			return
		}
		c.provider, c.kind = provider, kind
	}
	c.parts = map[string]string{"value": text}
	r.withEndpointID(l, &c)
	if beside := r.besideLeaf(l); row.holds == aVariable {
		c.complete(besideVariable(l.key(), beside))
	} else {
		c.complete(beside)
		r.roleIDFile(&c)
	}
	r.report(c)
}

// parts puts the parts of one secret together, such as an access and a refresh token.
func (r *reader) parts(l leaf, row place, c candidate) {
	object := l.parent()
	if r.joined[object] {
		return
	}
	r.joined[object] = true
	c.parts = map[string]string{}
	for _, i := range r.objects[object].leaves {
		other := r.doc.leaves[i]
		if row, _, ok := r.row(other.path); ok && row.part != "" && other.str && !placeholder(other.text) {
			if c.parts[row.part] = other.text; row.part == "value" { // by which it is shown, whatever stands first
				c.source.Locator, c.source.Line = r.source(other).Locator, other.line
			}
		}
	}
	if c.parts["value"] == "" {
		c.parts["value"] = c.parts["refresh"]
	}
	c.complete(r.besideLeaf(l))
	r.report(c)
}

// accessKey puts an AWS access key together from the strings of l's object, and reports whether
// l is part of one.
func (r *reader) accessKey(l leaf) bool {
	object := l.parent()
	if there, searched := r.aws[object]; searched {
		return there
	}
	var all []setting
	by := map[int]leaf{}
	for n, i := range r.objects[object].leaves {
		if other := r.doc.leaves[i]; other.str {
			text, _, ok := r.expand(other.text, candidate{})
			if part, _ := awsPart(other.key()); part != "" && ok {
				all = append(all, setting{name: other.key(), value: text, line: n})
				by[n] = other
			}
		}
	}
	keys, _ := awsKeys(all)
	r.aws[object] = len(keys) > 0
	for _, k := range keys {
		c := candidate{provider: "aws", kind: k.kind(), parts: k.parts, source: r.source(by[k.first.line]), endpoint: r.endpoint(l.path)}
		if when, ok := r.sibling(object, "Expiration"); ok {
			c.expires = moment(when.text)
		}
		r.report(c)
	}
	return len(keys) > 0
}

// unexpected reports a value at a place that the table does not know, where its format is that of
// a secret.
func (r *reader) unexpected(l leaf) {
	if provider, kind, ok := issuer(l.text); ok {
		r.report(candidate{provider: provider, kind: kind, parts: map[string]string{"value": l.text}, source: r.source(l), endpoint: r.endpoint(l.path), guessed: true})
	} else if k, ok := credential.Recognize(l.text); ok {
		part := "value"
		if k.NamePart != "" {
			part = k.NamePart
		}
		c := candidate{provider: k.Provider, kind: k.Name, parts: map[string]string{part: l.text}, source: r.source(l), endpoint: r.endpoint(l.path), guessed: true}
		r.withEndpointID(l, &c)
		r.report(c)
	}
}

var stripeEndpoint = lazyregexp.New(`\Awe_[0-9A-Za-z]{8,100}\z`)

// withEndpointID adds the id of the Stripe endpoint that a signing secret belongs to.
func (r *reader) withEndpointID(l leaf, c *candidate) {
	if id := r.objects[l.parent()].stripe; id != "" && strings.HasPrefix(c.parts["value"], "whsec_") {
		c.ref = map[string]string{"endpoint": id}
	}
}

// endpoint is the address that stands beside a value, or in one of the two objects around it.
func (r *reader) endpoint(p []json5.Step) string {
	for n := len(p) - 1; n >= max(0, len(p)-3); n-- {
		object := objectName(p[:n])
		for _, key := range []string{"baseUrl", "baseURL", "base_url", "url", "endpoint", "apiUrl", "homeserver"} {
			if l, ok := r.sibling(object, key); ok && l.str {
				if o := origin(l.text); o != "" {
					return o
				}
			}
		}
	}
	return ""
}

// millis reads a time in milliseconds since 1970, and nothing of what is no such time.
func millis(text string) time.Time {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f <= 0 || f > 253402300799000 { // the year 9999
		return time.Time{}
	}
	return time.UnixMilli(int64(f)).UTC()
}

func join(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(n string) bool { return n == "" }), ", ")
}

// base is the directory that a document's relative paths count from.
func (d *document) base() string { return path.Dir(d.at) }
