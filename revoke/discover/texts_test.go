package discover

import (
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func pat() string { return "ghp_" + (secret() + secret())[:36] }

// message is a line of a transcript that shows text.
func message(role, text string) string {
	line, _ := json.Marshal(map[string]any{"type": "message", "message": map[string]any{"role": role, "content": []any{map[string]any{"type": "text", "text": text}}}})
	return string(line) + "\n"
}

// places lists where a value was found, with the doubt and the note.
func placesOf(found []Found, value string) []string {
	var out []string
	for _, f := range found {
		for _, part := range f.Secret.Parts() {
			if f.Secret.Reveal(part) == value {
				out = append(out, strings.TrimPrefix(f.Source.String(), state)+" "+string(f.Doubt)+" "+f.Source.Note)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// What stands in its place is found wherever else it stands, as the same credential, and a transcript
// says that the model has seen it.
func TestKnownValuesInTexts(t *testing.T) {
	token, aws := secret(), "AKIA"+upper(16)
	shownText := "$ cat .env\nOPENCLAW_GATEWAY_TOKEN=\"" + token + "\"\n"
	files := map[string]string{
		state + "openclaw.json":                                      `{gateway:{auth:{token:"` + token + `"}}}`,
		"home/u/.aws/credentials":                                    "[default]\naws_access_key_id=" + aws + "\naws_secret_access_key=" + (secret() + secret())[:40] + "\n",
		state + "agents/main/sessions/a.jsonl":                       message("user", "hello") + message("toolResult", shownText),
		state + "agents/main/sessions/a.jsonl.reset.2026-01-01":      message("toolResult", shownText),
		state + "agents/main/sessions/b.jsonl.deleted.1767225600000": message("toolResult", shownText),
		state + "agents/main/sessions/c.jsonl.bak.1":                 message("toolResult", shownText),
		state + "agents/main/sessions/sessions.json":                 `{"agent:main:main":{"origin":{"from":"` + token + `"}}}`,
		state + "cron/jobs.json":                                     "{\n\"jobs\":[{\"payload\":{\"message\":\"use " + token + " now\"}}]}",
		state + "workspace/memory/2026-01-01.md":                     "# Notes\n\nThe key is " + aws + ".\n",
		"tmp/openclaw/openclaw-2026-01-01.log":                       `{"0":"{\"subsystem\":\"gateway\"}","1":"header {\"authorization\":\"Bearer ` + token + `\"}"}` + "\n",
	}
	found, summary := search(t, tree(t, files), places)
	want := []string{
		"agents/main/sessions/a.jsonl.reset.2026-01-01:1 (message.content[0].text)  shown to the model",
		"agents/main/sessions/a.jsonl:2 (message.content[0].text)  shown to the model",
		"agents/main/sessions/b.jsonl.deleted.1767225600000:1 (message.content[0].text)  shown to the model",
		"agents/main/sessions/c.jsonl.bak.1:1 (message.content[0].text)  shown to the model",
		"agents/main/sessions/sessions.json:1 (agent:main:main.origin.from)  ",
		"cron/jobs.json:2 (jobs[0].payload.message)  ",
		"openclaw.json:1 (gateway.auth.token)  ",
		"tmp/openclaw/openclaw-2026-01-01.log:1 (1)  ",
	}
	if got := placesOf(found, token); !slices.Equal(got, want) {
		t.Errorf("the token was found at\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, f := range found {
		if f.Secret.Reveal("value") == token && f.Kind != "openclaw.gateway" {
			t.Errorf("%s at %s", f.Kind, f.Source)
		}
		if f.Secret.Reveal("access_key_id") == aws && f.Secret.Reveal("secret_access_key") == "" {
			t.Errorf("half a key at %s", f.Source)
		}
	}
	if got := placesOf(found, aws); len(got) != 2 || !strings.HasPrefix(got[1], "workspace/memory/2026-01-01.md:3") {
		t.Errorf("the key was found at %q", got)
	}
	if len(summary.Problems) > 0 {
		t.Errorf("problems %+v", summary.Problems)
	}
	leaks(t, token, found, summary)
}

// varied is a secret that no chance makes look like none: of 40 digits of hex one in twenty has less
// entropy than gitleaks' rule wants, and its stop words are longer than one letter.
func varied() string {
	var b strings.Builder
	for range 16 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyz"[mrand.IntN(26)])
		b.WriteByte("0123456789"[mrand.IntN(10)])
	}
	return b.String()
}

// What stands nowhere else is a guess, and told as one.
func TestGuesses(t *testing.T) {
	one, two, key := pat(), varied(), varied()+upper(8)
	id := "AKIA" + strings.NewReplacer("0", "2", "1", "3", "8", "4", "9", "5").Replace(strings.ToUpper(varied()[:16]))
	dir := tree(t, map[string]string{
		state + "openclaw.json":                "{}",
		state + "agents/main/sessions/a.jsonl": message("toolResult", "git clone https://x:"+one+"@github.com/x/y") + message("toolResult", "ACME_API_KEY=\""+two+"\"\n"),
		state + "workspace/deploy.sh":          "export AWS_ACCESS_KEY_ID=" + id + "\nexport AWS_SECRET_ACCESS_KEY=" + key + "\n",
		state + "workspace/notes.md":           "AKIAIOSFODNN7EXAMPLE and pk_live_" + secret() + "\n",
	})
	found, _ := search(t, dir, places)
	for value, want := range map[string]string{
		one:                    "github github.pat by format shown to the model, looks like",
		two:                    "acme unknown by format shown to the model, looks like generic-api-key",
		id:                     "aws aws.access_key by format looks like aws",
		key:                    "aws aws.access_key by format looks like aws",
		"AKIAIOSFODNN7EXAMPLE": "aws aws.access_key example looks like aws",
	} {
		n := 0
		for _, f := range found {
			if slices.ContainsFunc(f.Secret.Parts(), func(p string) bool { return f.Secret.Reveal(p) == value }) {
				n++
				if got := fmt.Sprintf("%s %s %s %s", f.Provider, f.Kind, f.Doubt, f.Source.Note); !strings.HasPrefix(got, want) {
					t.Errorf("found as %q, want %q", got, want)
				}
			}
		}
		if n != 1 {
			t.Errorf("%q: %d times", want, n)
		}
	}
	if !slices.ContainsFunc(found, func(f Found) bool { return f.Doubt == PublicKey && f.Provider == "stripe" }) {
		t.Error("no public key was told apart")
	}
}

// Decoys, however many, crowd out neither another file nor another rule, and what was left out is said.
func TestDecoysCrowdNothingOut(t *testing.T) {
	var decoys strings.Builder
	for range 5_000 {
		decoys.WriteString(pat() + "\n")
	}
	real, other := pat(), "xoxp-1234567890-1234567891-1234567892-"+secret()[:32]
	files := map[string]string{state + "openclaw.json": "{}", state + "workspace/z.txt": real + "\n" + other + "\n"}
	for i := range 10 {
		files[fmt.Sprintf("%sworkspace/a%d.txt", state, i)] = strings.ReplaceAll(decoys.String(), "ghp_0", fmt.Sprint("ghp_", i))
	}
	found, summary := search(t, tree(t, files), places)
	if len(placesOf(found, real)) != 1 || len(placesOf(found, other)) != 1 {
		t.Error("a real one was crowded out")
	}
	values := map[string]bool{}
	for _, f := range found {
		values[f.Secret.Reveal("value")] = true
	}
	if len(values) != maxPerRule+1 {
		t.Errorf("%d values", len(values))
	}
	if len(summary.Problems) != 1 || !strings.Contains(summary.Problems[0].Reason, "more values look like github-pat") {
		t.Errorf("problems %+v", summary.Problems)
	}
}

// Only an access key has another half: what else is AWS's and stands near a secret of that length does not.
func TestBedrockKeyIsNoHalf(t *testing.T) {
	key, other := "ABSKQmVkcm9ja0FQSUtleS"+(secret() + upper(40) + secret())[:112], secret()
	dir := tree(t, map[string]string{state + "openclaw.json": "{}", state + "workspace/x.txt": "key " + key + "\nsecret_access_key = \"" + other + "\"\n"})
	found, _ := search(t, dir, places)
	var parts []string
	for _, f := range found {
		parts = append(parts, f.Secret.Parts()...)
	}
	if len(placesOf(found, key)) != 1 || slices.Contains(parts, "secret_access_key") {
		t.Errorf("found %s", showAll(found))
	}
}
