package json5

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// collect renders what Scan yields, one string per value.
func collect(data []byte) (got []string, err error) {
	err = Scan(data, func(v Value) {
		line := fmt.Sprintf("%d:%d %s=%s", v.Line, v.Column, render(v.Path), v.Text)
		if v.Kind == Comment {
			line = "//" + line
		}
		if v.Again {
			line += " again"
		}
		got = append(got, line)
	})
	return got, err
}

func render(path []Step) string {
	var b strings.Builder
	for _, s := range path {
		if s.Index >= 0 {
			fmt.Fprintf(&b, "[%d]", s.Index)
		} else {
			fmt.Fprintf(&b, ".%s", s.Key)
		}
	}
	return b.String()
}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
		fault    string
	}{
		{"json", `{"a": {"b": [1, "x", null]}}`, []string{"1:14 .a.b[0]=1", "1:17 .a.b[1]=x", "1:22 .a.b[2]=null"}, ""},
		{"json5", "// top\n{a: 'it\\'s', /* in */ $b_1: +.5e1,\n 'c d': \"x\\\ny\", e: 0xFf, f: -Infinity, g: [1,],}",
			[]string{"//1:1 = top", "2:5 .a=it's", "//2:14 = in ", "2:29 .$b_1=+.5e1", "3:9 .c d=xy", "4:8 .e=0xFf", "4:17 .f=-Infinity", "4:32 .g[0]=1"}, ""},
		{"windows line ends", "{\r\n\"a\":\r\n1}", []string{"3:1 .a=1"}, ""},
		{"byte order mark", "\ufeff{\"a\":true}", []string{"1:9 .a=true"}, ""},
		{"escapes", `["\u0041\x42\n\/\ud83d\ude00\ud83d\0"]`, []string{"1:2 [0]=AB\n/😀\ufffd\x00"}, ""},
		{"escaped key", `{"\u0061":1, \u0062c:2}`, []string{"1:11 .a=1", "1:22 .bc=2"}, ""},
		{"duplicate keys", `{a:{b:1},a:{b:2},c:3}`, []string{"1:7 .a.b=1", "1:15 .a.b=2 again", "1:20 .c=3"}, ""},
		{"cut in half", `{"a": "one", "b": "tw`, []string{"1:7 .a=one"}, "line 1, column 19: a string is not closed"},
		{"cut after a key", `{"a": 1, "b"`, []string{"1:7 .a=1"}, "line 1, column 13: a colon is missing after a key"},
		{"cut comment", "{a:1} /* x", []string{"1:4 .a=1"}, "line 1, column 7: a comment is not closed"},
		{"missing comma", "{a:1\n b:2}", []string{"1:4 .a=1"}, "line 2, column 2: a comma is missing"},
		{"bare word", "{a:1, b: hello}", []string{"1:4 .a=1"}, "line 1, column 10: a value is expected"},
		{"two documents", "1 2", []string{"1:1 =1"}, "line 1, column 3: text after the end of the document"},
		{"empty", "", nil, "line 1, column 1: the document ends where a value is expected"},
		{"binary", "\x7fELF\x02\x01", nil, "line 1, column 1: a value is expected"},
		{"deep enough", strings.Repeat("[", MaxDepth) + "1" + strings.Repeat("]", MaxDepth), []string{"1:513 " + render(indexes(MaxDepth)) + "=1"}, ""},
		{"too deep", `{"a":1,"b":` + strings.Repeat("[", 10_000_000), []string{"1:6 .a=1"}, "line 1, column 524: objects and arrays are nested too deeply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := collect([]byte(c.in))
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if fault != c.fault {
				t.Errorf("error %q, want %q", fault, c.fault)
			}
			if err != nil && !errors.As(err, new(*SyntaxError)) {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func indexes(n int) []Step { return make([]Step, n) }

// flatten lists the scalars of what encoding/json decoded.
func flatten(v any, path string, out *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(e, path+"."+k, out)
		}
	case []any:
		for i, e := range v {
			flatten(e, path+"["+strconv.Itoa(i)+"]", out)
		}
	case string:
		*out = append(*out, path+"="+v)
	case json.Number:
		*out = append(*out, path+"="+v.String())
	default:
		*out = append(*out, fmt.Sprintf("%s=%v", path, v))
	}
}

// sameAsEncodingJSON compares Scan with encoding/json where data is JSON for both.
func sameAsEncodingJSON(t *testing.T, data []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if !json.Valid(data) || !utf8.Valid(data) || d.Decode(&v) != nil {
		return
	}
	var got, want []string
	again, deep := false, false
	err := Scan(data, func(v Value) {
		text := v.Text
		if text == "null" && v.Kind == Literal {
			text = "<nil>"
		}
		got = append(got, render(v.Path)+"="+text)
		again = again || v.Again
	})
	if err != nil {
		deep = strings.Contains(err.Error(), "deeply")
		if !deep {
			t.Fatalf("JSON is refused: %v", err)
		}
	}
	flatten(v, "", &want)
	slices.Sort(got)
	slices.Sort(want)
	// A duplicate key with an empty value yields nothing, so a difference may also come from there.
	if !again && !deep && !duplicates(data) && !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// duplicates reports whether an object of the document has a key twice.
func duplicates(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	type frame struct {
		keys  map[string]bool
		value bool
	}
	var stack []*frame
	for {
		tok, err := d.Token()
		if err != nil {
			return false
		}
		top := func() *frame { return stack[len(stack)-1] }
		if tok == json.Delim('}') || tok == json.Delim(']') {
			stack = stack[:len(stack)-1]
		} else if len(stack) > 0 && top().keys != nil && !top().value {
			key := tok.(string)
			if top().keys[key] {
				return true
			}
			top().keys[key] = true
			top().value = true
			continue
		} else if tok == json.Delim('{') {
			stack = append(stack, &frame{keys: map[string]bool{}})
			continue
		} else if tok == json.Delim('[') {
			stack = append(stack, &frame{})
			continue
		}
		if len(stack) > 0 {
			top().value = false
		}
	}
}

func TestAgreesWithEncodingJSON(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		data, err := json.MarshalIndent(randomValue(rng, 0), "", strings.Repeat(" ", rng.IntN(3)))
		if err != nil {
			t.Fatal(err)
		}
		sameAsEncodingJSON(t, data)
	}
}

func randomValue(rng *rand.Rand, depth int) any {
	n := rng.IntN(5)
	if depth > 4 {
		n = 2 + rng.IntN(3)
	}
	switch n {
	case 0:
		m := map[string]any{}
		for range rng.IntN(6) {
			m[randomText(rng)] = randomValue(rng, depth+1)
		}
		return m
	case 1:
		a := []any{}
		for range rng.IntN(6) {
			a = append(a, randomValue(rng, depth+1))
		}
		return a
	case 2:
		return randomText(rng)
	case 3:
		return rng.NormFloat64() * 1e10
	}
	return []any{true, false, nil}[rng.IntN(3)]
}

func randomText(rng *rand.Rand) string {
	runes := []rune("ab\"'\\/\n\r\t\b\x00{}[]:,é漢😀\u2028\ufeff<>&")
	var b strings.Builder
	for range rng.IntN(8) {
		b.WriteRune(runes[rng.IntN(len(runes))])
	}
	return b.String()
}

// A document that is cut anywhere yields a beginning of what the whole yields, and an error.
func TestCutAnywhere(t *testing.T) {
	doc := "{ // c\n \"a\": ['x', {b: \"y\\u00e9\"}], /* d */ c: -1.5e3, 'd': {e: true}}"
	whole, err := collect([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(doc) {
		part, err := collect([]byte(doc[:i]))
		if err == nil {
			t.Errorf("cut at %d: no error", i)
		}
		if n := len(part); n > 0 { // the last comment or number may be cut itself
			n--
			if len(part) > len(whole) || !slices.Equal(part[:n], whole[:n]) {
				t.Errorf("cut at %d: %q", i, part)
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x",null,{"b":true}]}`, "// c\n{a:'b',/*d*/e:+.5,}", `"\ud83d\ude00\`, "[[[[", `{"a":1,"a":{}}`, "-0.1e+9", "0x", "\ufeff{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
		err := Scan(data, func(v Value) {
			if v.Line < 1 || v.Line > lines || v.Column < 1 || v.Column > len(data)+1 || len(v.Path) > MaxDepth {
				t.Fatalf("impossible place: %+v", v)
			}
		})
		var se *SyntaxError
		if err != nil && (!errors.As(err, &se) || se.Line > lines) {
			t.Fatalf("error %v", err)
		}
		sameAsEncodingJSON(t, data)
	})
}
