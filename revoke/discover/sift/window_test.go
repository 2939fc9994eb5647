package sift

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw/json5"
)

// A secret is found once, wherever the borders of windows lie: raw, in JSON and among escapes.
func FuzzBorders(f *testing.F) {
	f.Add(uint32(Step-20), byte(0))
	f.Add(uint32(Step-1), byte(1))
	f.Add(uint32(2*Step-7), byte(2))
	f.Add(uint32(Step+overlap), byte(3))
	f.Add(uint32(Step-margin), byte(1))
	known := "hunter2-" + random(30, alphanumeric)
	s := New([]string{known})
	f.Fuzz(func(t *testing.T, at uint32, mode byte) {
		n := int(at % (2*Step + 2*overlap))
		token := "ghp_" + random(36, alphanumeric)
		for _, value := range []string{token, known} {
			line := strings.Repeat("x.y ", n/4) + strings.Repeat(" ", n%4) + "t \"" + value + "\" z"
			switch mode % 4 {
			case 1:
				line = `{"a":"` + strings.Repeat(`\n.`, n/3) + `\t` + value + `\n"}`
			case 2:
				inner, _ := json.Marshal(map[string]string{"text": strings.Repeat("\"\n", n/12) + value})
				outer, _ := json.Marshal(map[string]string{"line": string(inner)})
				line = string(outer)
			case 3:
				line = strings.Repeat("\n", n) + value + "\n"
			}
			found := all(t, s, "x", []byte(line))
			if len(found) != 1 || found[0].Value != value {
				t.Fatalf("%d found with %d bytes before it", len(found), n)
			}
			if got := line[found[0].Offset:][:len(value)]; got != value {
				t.Fatalf("it does not stand at %d", found[0].Offset)
			}
			if mode%4 == 3 && found[0].Line != n {
				t.Fatalf("it stands in line %d, not %d", found[0].Line, n)
			}
		}
	})
}

func TestPlaces(t *testing.T) {
	token, other := "ghp_"+random(36, alphanumeric), "xoxb-"+random(12, "123456789")+"-"+random(12, "123456789")+"-"+random(24, alphanumeric)
	inner, _ := json.Marshal(map[string]any{"env": "A=\"" + other + "\"\n"})
	for name, test := range map[string]struct{ text, want string }{
		"a line of JSON":    {"{}\n" + `{"message":{"content":[{"text":"first"},{"text":"x\n` + token + `\n"}]}}` + "\n", "1 message.content.1.text"},
		"twice in a line":   {`{"a":"` + token + `","b":"` + token + `"}`, "0 a, 0 b"},
		"JSON over lines":   {"{\n \"jobs\": [\n  {\"payload\": \"" + token + "\"}\n ]\n}\n", "2 jobs.0.payload"},
		"JSON in JSON":      {`{"m":` + quoted(string(inner)) + `}`, "0 m"},
		"escaped letters":   {`{"m":"\u0067\u0068\u0070_` + token[4:] + `"}`, "0 m"},
		"escaped in text":   {"a\nb \"\\\"" + token + "\\\"\"\n", "1 "},
		"broken JSON":       {"{\"a\":\"b\"}\n{\"a\": \"" + token + "\n", "1 "},
		"invalid UTF-8":     {"\xff\xfe\xc3 " + token + "\xff\n", "0 "},
		"a path of Windows": {"C:\\" + token + "\\new\n", "0 "},
	} {
		var got []string
		for _, m := range all(t, New(nil), "x", []byte(test.text)) {
			if m.Value != token && m.Value != other {
				t.Errorf("%s: another value", name)
			}
			got = append(got, fmt.Sprintf("%d %s", m.Line, dotted(m.Path)))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: found at %q, want %q", name, got, test.want)
		}
	}
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

func dotted(path []json5.Step) string {
	var parts []string
	for _, s := range path {
		if s.Index >= 0 {
			s.Key = fmt.Sprint(s.Index)
		}
		parts = append(parts, s.Key)
	}
	return strings.Join(parts, ".")
}

// A known value is found by itself, and not as a piece of another; it tells more than any rule.
func TestKnownValues(t *testing.T) {
	long := random(300, alphanumeric)
	s := New([]string{"hunter2hunter2", "short", long, "ghp_" + long[:36]})
	for text, want := range map[string][]int{
		"password: hunter2hunter2.":         {1},
		"xhunter2hunter2 hunter2hunter2x":   nil,
		"HUNTER2HUNTER2":                    nil,
		"short":                             nil,
		"a " + long + "\n" + long[:299]:     {3},
		"token = \"ghp_" + long[:36] + "\"": {4},
	} {
		var got []int
		for _, m := range all(t, s, "x", []byte(text)) {
			got = append(got, m.Known)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes: found %v, want %v", len(text), got, want)
		}
	}
}

func token(claims map[string]any) string {
	part := func(v any) string { b, _ := json.Marshal(v); return base64.RawURLEncoding.EncodeToString(b) }
	return part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + part(claims) + "." + random(43, alphanumeric)
}

// What only looks like a secret is told apart.
func TestLookAlikes(t *testing.T) {
	now := time.Now().Unix()
	for name, test := range map[string]struct{ text, rule, what string }{
		"a token of long ago":    {token(map[string]any{"exp": now - 90000, "sub": random(12, alphanumeric)}), "jwt", expired},
		"a token of today":       {token(map[string]any{"exp": now + 3600, "sub": random(12, alphanumeric)}), "jwt", ""},
		"the token of jwt.io":    {token(map[string]any{"sub": "1234567890", "name": "John Doe", "iat": 1516239022}), "jwt", example},
		"a key of AWS's manual":  {"AKIAIOSFODNN7EXAMPLE", "aws-access-token", example},
		"a publishable key":      {"pk_live_" + random(24, alphanumeric), "publishable-key", publicKey},
		"a public key of SSH":    {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" + random(43, alphanumeric) + " me@host", "ssh-public-key", publicKey},
		"a public key in PEM":    {"-----BEGIN PUBLIC KEY-----\n" + random(64, alphanumeric) + "\n-----END PUBLIC KEY-----", "public-key", publicKey},
		"the key of a cache":     {"cache_key = \"" + random(32, "0123456789abcdef") + "\"", "", ""},
		"the token of a page":    {"nextPageToken: \"" + random(32, alphanumeric) + "\"", "", ""},
		"a digest":               {"auth_token: sha256-" + random(44, alphanumeric), "", ""},
		"a setting of a secret":  {"client_secret = \"" + random(8, "13579") + random(24, "bcdfghjkmpqrtvwxz2468") + "\"", "generic-api-key", ""},
		"a password of database": {"postgres://svc:" + random(16, alphanumeric) + "@db.example/x", "password-url", ""},
	} {
		found := all(t, New(nil), "x", []byte("see "+test.text+" \n"))
		switch {
		case test.rule == "" && len(found) == 0:
		case len(found) != 1 || found[0].Rule != test.rule || found[0].What != test.what:
			t.Errorf("%s: %d found: %v", name, len(found), what(found))
		}
	}
}

func what(found []Match) (out []string) {
	for _, m := range found {
		out = append(out, m.Rule+" "+m.What)
	}
	return out
}

// No text takes more than in proportion to its length.
func TestTimeIsBounded(t *testing.T) {
	for _, piece := range []string{"curl ", "-----BEGIN PRIVATE KEY-----", "eyJ.ey", "key=", "secret: ", "api", "ghp_0123456789", "\\u0041", "\\\\", "sk-", "://a:b", "kind: secret data: ", "facebook ", "q~", "hooks.slack.com/"} {
		start := time.Now()
		all(t, New([]string{strings.Repeat("ab", 50)}), "x.yaml", bytes.Repeat([]byte(piece), (1<<20)/len(piece)))
		if d := time.Since(start); d > time.Minute {
			t.Errorf("%q: %v", piece, d)
		} else {
			t.Logf("%q: %v", piece, d)
		}
	}
}
