package discover

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const (
	maxLeaves = 200_000 // values of one document
	maxSteps  = 32      // steps of a path that are kept
	maxKey    = 256     // bytes of a key that are kept
)

// document is a JSON file taken apart.
type document struct {
	at       string // resolved path
	prefix   int    // steps of the including document, which each leaf's path begins with
	row      string // of a database: what the locators begin with
	leaves   []leaf
	comments []leaf
	note     string // for the sources of its finds: "backup copy"
	rest     []byte // what stands behind a syntax error
	restLine int
}

// leaf is one scalar of a document.
type leaf struct {
	path []json5.Step
	text string
	str  bool // a string
	line int
}

func (l leaf) key() string { return l.path[len(l.path)-1].Key }

// parent names the object that the leaf stands in.
func (l leaf) parent() string { return objectName(l.path[:len(l.path)-1]) }

func objectName(p []json5.Step) string {
	var b strings.Builder
	for _, s := range p {
		if s.Index >= 0 {
			b.WriteString(strconv.Itoa(s.Index))
		}
		b.WriteByte(0)
		b.WriteString(s.Key)
		b.WriteByte(0)
	}
	return b.String()
}

// load reads a JSON file that was not searched before. A fault in it is a Problem, and what stood
// before the fault is there.
func (s *scan) load(name string, prefix []json5.Step) (*document, bool) {
	at, data, ok := s.open(name)
	if !ok {
		return nil, false
	}
	d := &document{at: at, prefix: len(prefix)}
	s.parse(d, at, data, prefix)
	return d, true
}

// parse adds the values of a JSON text to a document. name is what its problems are reported for.
func (s *scan) parse(d *document, name string, data []byte, prefix []json5.Step) {
	again := 0
	err := json5.Scan(data, func(v json5.Value) {
		if v.Again && v.Kind != json5.Comment {
			if again++; again == 1 {
				s.note(openclaw.Problem{Path: name, Reason: fmt.Sprintf("line %d: a key stands twice in its object: both values were searched", v.Line)})
			}
		}
		if len(d.leaves)+len(d.comments) >= maxLeaves {
			return
		}
		l := leaf{path: slices.Concat(prefix, bounded(v.Path)), text: v.Text, str: v.Kind == json5.String, line: v.Line}
		if v.Kind == json5.Comment {
			d.comments = append(d.comments, l)
		} else if len(l.path) > 0 {
			d.leaves = append(d.leaves, l)
		}
	})
	if len(d.leaves)+len(d.comments) >= maxLeaves {
		s.note(openclaw.Problem{Path: name, Reason: fmt.Sprintf("more than %d values: the rest was not searched", maxLeaves)})
	}
	if err != nil {
		s.note(openclaw.Problem{Path: name, Reason: "not valid JSON: " + err.Error() + ": what follows was searched by format alone"})
		if fault, ok := err.(*json5.SyntaxError); ok {
			d.restLine = fault.Line
			d.rest = fromLine(data, fault.Line)
		}
	}
}

// bounded cuts a path to what is worth keeping, so that no file makes paths the larger part of it.
func bounded(p []json5.Step) []json5.Step {
	p = slices.Clone(p[:min(len(p), maxSteps)])
	for i := range p {
		if len(p[i].Key) > maxKey {
			p[i].Key = strings.Clone(p[i].Key[:maxKey])
		}
	}
	return p
}

// fromLine returns data from a line on.
func fromLine(data []byte, line int) []byte {
	for ; line > 1; line-- {
		i := slices.Index(data, '\n')
		if i < 0 {
			return data
		}
		data = data[i+1:]
	}
	return data
}

// object is the scalars that stand directly in one object or array.
type object struct {
	leaves []int          // in the order of the file
	byKey  map[string]int // the last of two holds, as in every parser
	stripe string         // the id of a Stripe endpoint that stands here
}

func (d *document) objects() map[string]*object {
	out := map[string]*object{}
	for i, l := range d.leaves {
		name := l.parent()
		o := out[name]
		if o == nil {
			o = &object{byKey: map[string]int{}}
			out[name] = o
		}
		o.leaves = append(o.leaves, i)
		o.byKey[l.key()] = i
		if strings.HasPrefix(l.text, "we_") && stripeEndpoint.MatchString(l.text) {
			o.stripe = l.text
		}
	}
	return out
}

var plainKey = lazyregexp.New(`\A[A-Za-z0-9_$@:/+-]{1,64}\z`)

// locator names a path for people: channels.slack.accounts["my team"].botToken. A key that is a
// secret itself is not shown.
func locator(path []json5.Step) string {
	var b strings.Builder
	for i, s := range path {
		switch _, secret := credential.Recognize(s.Key); {
		case s.Index >= 0:
			fmt.Fprintf(&b, "[%d]", s.Index)
		case s.Key == "" && len(path) == 1: // the whole file
		case secret:
			b.WriteString("[secret]")
		case !plainKey.MatchString(s.Key):
			fmt.Fprintf(&b, "[%s]", strconv.QuoteToASCII(clean(s.Key, 64)))
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Key)
		}
	}
	return b.String()
}

// minSecret is the length of the shortest secret that has a format.
const minSecret = 18

// sweep looks for secrets by their format alone: in comments, behind a syntax error, in files of
// no known shape.
func (s *scan) sweep(at string, text string, line int, note string) {
	for row := range strings.Lines(text) {
		for word := range strings.FieldsFuncSeq(row, separates) {
			if len(word) < minSecret {
				continue
			}
			if s.ctx.Err() != nil || s.guesses > maxHeuristic {
				return
			}
			for _, value := range []string{word, after(word, "="), after(word, ":")} {
				if k, ok := credential.Recognize(value); ok {
					part := "value"
					if k.NamePart != "" {
						part = k.NamePart
					}
					s.report(candidate{parts: map[string]string{part: value}, provider: k.Provider, kind: k.Name, guessed: true,
						source: credential.Source{Path: at, Line: line, Note: note}})
					break
				}
			}
		}
		line++
	}
}

func separates(r rune) bool {
	return r <= ' ' || strings.ContainsRune("\"'`,;(){}[]<>\\", r)
}

func after(word, mark string) string {
	_, rest, _ := strings.Cut(word, mark)
	return rest
}
