package tree

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"clawback/revoke/credential"
)

// node is a JSON value that is being built. An object keeps the order of its keys.
type node struct {
	keys     []string
	children map[string]*node
	list     []*node
	value    any                    // of a leaf
	comment  string                 // stands above it, where the format has comments
	cred     int                    // the credential that stands here; -1: none
	own      *credential.Credential // that was not given and stands here
	ref      bool                   // the source of a reference, which stands for the object that it is in
}

func object() *node { return &node{children: map[string]*node{}, cred: -1} }

func leaf(value any, cred int) *node { return &node{value: value, cred: cred} }

// at returns the object at a path of keys joined by dots, and makes it where it is missing.
func (n *node) at(p string) *node {
	for key := range strings.SplitSeq(p, ".") {
		next := n.children[key]
		if next == nil {
			next = object()
			n.put(key, next)
		}
		n = next
	}
	return n
}

func (n *node) put(key string, child *node) {
	if _, there := n.children[key]; !there {
		n.keys = append(n.keys, key)
	}
	n.children[key] = child
}

// set puts a value at a path and returns n.
func (n *node) set(p string, value any) *node { return n.setCred(p, value, -1) }

func (n *node) setCred(p string, value any, cred int) *node {
	parent, key := n, p
	if i := strings.LastIndex(p, "."); i >= 0 {
		parent, key = n.at(p[:i]), p[i+1:]
	}
	child, ok := value.(*node)
	if !ok {
		child = leaf(value, cred)
	}
	parent.put(key, child)
	return n
}

// has reports whether something stands at a path.
func (n *node) has(p string) bool {
	for key := range strings.SplitSeq(p, ".") {
		n = n.children[key]
		if n == nil {
			return false
		}
	}
	return true
}

var identifier = regexp.MustCompile(`\A[A-Za-z_$][A-Za-z0-9_$]*\z`)

// renderJSON writes a document and records where its credentials stand. JSON5 has comments,
// bare keys, single quotes and trailing commas.
func (b *builder) renderJSON(file string, n *node, json5 bool) {
	r := renderer{b: b, file: file, json5: json5}
	if json5 {
		r.w.add("// Edited by hand. Restart the gateway after changes.")
	}
	r.write(n, "", "")
	b.files[file] = r.w.String() + "\n"
}

type renderer struct {
	b     *builder
	file  string
	json5 bool
	w     lines
}

func (r *renderer) write(n *node, indent, locator string) {
	switch {
	case n.children != nil:
		r.w.WriteString("{\n")
		for i, key := range n.keys {
			child := n.children[key]
			if child.comment != "" && r.json5 {
				r.w.add("%s  // %s", indent, child.comment)
			}
			fmt.Fprintf(&r.w, "%s  %s: ", indent, r.key(key))
			r.write(child, indent+"  ", strings.TrimPrefix(locator+"."+key, "."))
			r.end(i == len(n.keys)-1)
		}
		r.w.WriteString(indent + "}")
	case n.list != nil:
		r.w.WriteString("[\n")
		for i, child := range n.list {
			r.w.WriteString(indent + "  ")
			r.write(child, indent+"  ", fmt.Sprintf("%s[%d]", locator, i))
			r.end(i == len(n.list)-1)
		}
		r.w.WriteString(indent + "]")
	default:
		if n.ref {
			locator = strings.TrimSuffix(locator, ".source")
		}
		if n.ref && n.cred < 0 {
			r.b.unlisted = append(r.b.unlisted, Place{Unresolved: true, Source: credential.Source{Path: r.file, Locator: locator, Line: r.w.next()}})
		}
		if n.own != nil {
			r.b.unlisted = append(r.b.unlisted, Place{Credential: *n.own, Source: credential.Source{Path: r.file, Locator: locator, Line: r.w.next()}})
		}
		r.b.found(n.cred, r.file, locator, r.w.next())
		r.w.WriteString(r.scalar(n.value))
	}
}

func (r *renderer) end(last bool) {
	if !last || r.json5 && r.b.rng.IntN(2) == 0 {
		r.w.WriteByte(',')
	}
	r.w.WriteByte('\n')
}

func (r *renderer) key(key string) string {
	if r.json5 && identifier.MatchString(key) {
		return key
	}
	return quote(key)
}

func (r *renderer) scalar(v any) string {
	if s, ok := v.(string); ok && r.json5 && !strings.ContainsAny(s, "'\\\n\r") && r.b.rng.IntN(3) == 0 {
		return "'" + s + "'"
	}
	return quote(v)
}

// quote writes a JSON value. Its arguments are strings, numbers and booleans, which never fail.
func quote(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n")
}
