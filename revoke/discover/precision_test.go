package discover

import (
	"crypto/rand"
	"encoding/base64"

	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"testing"
	"time"
)

func hexes(n int) string { return strings.Repeat(secret(), n/40+1)[:n] }

func letters(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)[:n]
}

func plainLetters(n int) string {
	return strings.NewReplacer("-", "x", "_", "y").Replace(letters(n))
}

func uuid() string {
	h := hexes(32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

func webToken(expires time.Time) string {
	part := func(v any) string { b, _ := json.Marshal(v); return base64.RawURLEncoding.EncodeToString(b) }
	return part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{"sub": uuid(), "exp": expires.Unix()}) + "." + letters(43)
}

// lookAlikes are harmless: what logs, code, lock files and manuals are full of.
var lookAlikes = []func() string{
	func() string { return "commit " + hexes(40) },
	func() string { return `"sha256": "` + hexes(64) + `"` },
	func() string { return "etag: W/\"" + hexes(32) + "\"" },
	func() string { return "request_id=" + uuid() },
	func() string {
		return `"integrity": "sha512-` + base64.StdEncoding.EncodeToString([]byte(letters(64))) + `"`
	},
	func() string { return "trace " + hexes(32) + " span " + hexes(16) },
	func() string { return "AKIA" + "IOSFODNN7EXAMPLE" },
	func() string { return "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
	func() string { return "OPENAI_API_KEY=sk-your-key-here" },
	func() string { return "token: ${GITHUB_TOKEN}" },
	func() string { return "SLACK_BOT_TOKEN=xoxb-your-bot-token" },
	func() string { return "api_key = \"<YOUR_API_KEY>\"" },
	func() string { return "password: changeme" },
	func() string { return "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
	func() string { return "-----BEGIN PUBLIC KEY-----\n" + letters(64) + "\n-----END PUBLIC KEY-----" },
	func() string { return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + plainLetters(43) + " ann@laptop" },
	func() string { return "publishableKey: pk_live_" + plainLetters(24) },
	func() string { return "Authorization: Bearer " + webToken(time.Now().Add(-90*24*time.Hour)) },
	func() string { return "cache_key=\"" + hexes(32) + "\"" },
	func() string { return "nextPageToken\": \"" + letters(40) + "\"" },
	func() string { return "primary_key: " + uuid() },
	func() string { return "idempotency-key: " + uuid() },
	func() string {
		return "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte(letters(200)))
	},
	func() string { return "const accessTokenExpirySeconds = 86400" },
	func() string { return "secretName: my-application-credentials" },
	func() string { return "key: user.profile.settings.display_name" },
	func() string { return "https://user:password@example.com/path" },
	func() string { return "csrf_token=" + letters(32) },
	func() string { return "session: \"agent:main:telegram:group:" + hexes(12) + "\"" },
	func() string { return ".sk-fading-circle .sk-circle-before-animation { }" },
	func() string { return "tokens: {input: 1532, output: 208, cacheRead: 0}" },
	func() string {
		return "public_key = \"" + base64.StdEncoding.EncodeToString([]byte(letters(32))) + "\""
	},
}

// secrets are what a searcher must not miss.
var secretsInText = []func() (value, text string){
	func() (string, string) {
		v := pat()
		return v, "git clone https://x-access-token:" + v + "@github.com/a/b"
	},
	func() (string, string) {
		v := "xoxb-" + digits(12) + "-" + digits(12) + "-" + plainLetters(24)
		return v, "curl -H 'Authorization: Bearer " + v + "' x"
	},
	func() (string, string) { v := "sk-ant-api03-" + letters(93) + "AA"; return v, "ANTHROPIC_API_KEY=" + v },
	func() (string, string) { v := "AIza" + letters(35); return v, "key=" + v + " " },
	func() (string, string) { v := "sk_live_" + plainLetters(24); return v, "stripe.api_key = '" + v + "'" },
	func() (string, string) { v := "glpat-" + plainLetters(20); return v, "PRIVATE-TOKEN: " + v },
	func() (string, string) {
		v := digits(10) + ":AA" + plainLetters(33)
		return v, "https://api.telegram.org/bot" + v + "/getMe and TELEGRAM=" + v
	},
	func() (string, string) { v := hexes(40); return v, "export ACME_API_TOKEN=\"" + v + "\"" },
	func() (string, string) {
		v := webToken(time.Now().Add(time.Hour))
		return v, "Authorization: Bearer " + v
	},
}

func digits(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(byte('1' + mrand.IntN(9)))
	}
	return b.String()
}

// Of what is reported as a secret at least 95 in 100 are, on a tree with 500 harmless look-alikes;
// and of 100 secrets at least 95 are found.
func TestPrecision(t *testing.T) {
	files, truth := map[string]string{state + "openclaw.json": "{}"}, map[string]bool{}
	var pieces []string
	for i := range 500 {
		pieces = append(pieces, lookAlikes[i%len(lookAlikes)]())
	}
	for i := range 100 {
		value, text := secretsInText[i%len(secretsInText)]()
		truth[value] = true
		pieces = append(pieces, text)
	}
	mrand.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	for i, piece := range pieces {
		switch i % 4 {
		case 0:
			files[fmt.Sprintf("%sworkspace/src/f%d.txt", state, i/40)] += "# note\n" + piece + "\n"
		case 1:
			files[state+"workspace/memory/notes.md"] += "- " + piece + "\n"
		case 2:
			files[fmt.Sprintf("%sagents/main/sessions/s%d.jsonl", state, i/100)] += message("toolResult", "output:\n"+piece+"\nend")
		default:
			line, _ := json.Marshal(map[string]string{"0": `{"subsystem":"x"}`, "1": piece})
			files["tmp/openclaw/openclaw-2026-01-01.log"] += string(line) + "\n"
		}
	}
	found, _ := search(t, tree(t, files), places)
	right, wrong := map[string]bool{}, map[string]bool{}
	for _, f := range found {
		if f.Doubt != "" && f.Doubt != ByFormat {
			continue // told apart
		}
		for _, part := range f.Secret.Parts() {
			if v := f.Secret.Reveal(part); truth[v] {
				right[v] = true
			} else {
				wrong[v] = true
				t.Logf("not a secret: %s, of %d bytes, at %s", f.Source.Note, len(v), f.Source)
			}
		}
	}
	precision, recall := float64(len(right))/float64(len(right)+len(wrong)), float64(len(right))/float64(len(truth))
	t.Logf("precision %.3f, recall %.3f", precision, recall)
	if precision < 0.95 || recall < 0.95 {
		t.Errorf("precision %.3f, recall %.3f", precision, recall)
	}
}
