package tree

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// word makes a random word; secrets are never the same from run to run.
func word(n int, alphabet string) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	for i, c := range raw {
		raw[i] = alphabet[int(c)%len(alphabet)]
	}
	return string(raw)
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum   = letters + "abcdefghijklmnopqrstuvwxyz0123456789"
)

// newCredential makes a credential of a kind with a random secret.
func newCredential(kind string) credential.Credential {
	k, _ := credential.Lookup(kind)
	c := credential.Credential{Provider: k.Provider, Kind: kind}
	value := ""
	switch kind {
	case "aws.access_key", "aws.session":
		parts := map[string]string{"access_key_id": k.Prefix + word(16, letters), "secret_access_key": word(40, alnum)}
		if kind == "aws.session" {
			parts["session_token"] = word(300, alnum)
		}
		c.Secret = credential.NewSecret(parts)
		return c
	case "stripe.webhook_secret":
		c.Ref = map[string]string{"endpoint": "we_" + word(24, alnum)}
		value = k.Prefix + word(32, alnum)
	case "slack.rotating":
		value = "xoxe.xoxb-1-" + word(60, alnum)
	case "slack.webhook":
		value = k.Prefix + "services/T" + word(8, letters) + "/B" + word(8, letters) + "/" + word(24, alnum)
	case "openai.api_key":
		value = "sk-proj-" + word(60, alnum)
	case "telegram.bot":
		value = "7" + word(9, "0123456789") + ":" + word(35, alnum)
	case "discord.bot":
		value = "M" + word(25, alnum) + "." + word(6, alnum) + "." + word(38, alnum)
	case "unknown":
		c.Provider = "brave"
		value = "BSA" + word(28, alnum)
	case "slack.signing_secret", "openclaw.gateway", "openclaw.hook":
		value = word(48, alnum)
	default:
		value = sample(k.Format)
	}
	c.Secret = credential.Value(value)
	return c
}

// sample is a random value of a format: as long as it may be where that is short, near its least
// length otherwise.
func sample(format string) string {
	re, err := syntax.Parse(format, syntax.Perl)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	var write func(*syntax.Regexp)
	times := func(re *syntax.Regexp, least, most int) {
		for range least + mrand.IntN(max(1, min(most, least+8)-least+1)) {
			write(re.Sub[0])
		}
	}
	write = func(re *syntax.Regexp) {
		switch re.Op {
		case syntax.OpLiteral:
			b.WriteString(string(re.Rune))
		case syntax.OpCharClass:
			for {
				i := 2 * mrand.IntN(len(re.Rune)/2)
				r := re.Rune[i] + mrand.Int32N(re.Rune[i+1]-re.Rune[i]+1)
				if strings.ContainsRune(alnum, r) || len(re.Rune) == 2 { // marks end a value in some texts
					b.WriteRune(r)
					return
				}
			}
		case syntax.OpCapture, syntax.OpConcat:
			for _, sub := range re.Sub {
				write(sub)
			}
		case syntax.OpAlternate:
			write(re.Sub[mrand.IntN(len(re.Sub))])
		case syntax.OpRepeat:
			times(re, re.Min, re.Max)
		case syntax.OpQuest, syntax.OpStar:
			times(re, 0, 1)
		case syntax.OpPlus:
			times(re, 1, 4)
		}
	}
	for whole := regexp.MustCompile(`\A(?:` + format + `)\z`); ; b.Reset() { // of borders between words it knows nothing
		if write(re); whole.MatchString(b.String()) {
			return b.String()
		}
	}
}

// everyKind makes n credentials of each kind.
func everyKind(n int) (out []credential.Credential) {
	for range n {
		for _, k := range credential.Kinds {
			out = append(out, newCredential(k.Name))
		}
	}
	return out
}

// scan searches a tree and returns the places of each credential, and the places of what is none.
func scan(t *testing.T, dir string, creds []credential.Credential) (places [][]string, others []string, summary discover.Summary) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	places = make([][]string, len(creds))
	summary, err = discover.Scan(context.Background(), root, discover.Options{}, func(f discover.Found) {
		i := slices.IndexFunc(creds, func(c credential.Credential) bool {
			return c.Secret.Equal(f.Secret) && c.Provider == f.Provider && c.Kind == f.Kind && c.Ref["endpoint"] == f.Ref["endpoint"]
		})
		if i < 0 {
			others = append(others, fmt.Sprintf("%s %s at %s", f.Provider, f.Kind, f.Source))
			return
		}
		places[i] = append(places[i], place(f.Source))
	})
	if err != nil {
		t.Fatal(err)
	}
	return places, others, summary
}

func place(s credential.Source) string { return fmt.Sprintf("%s:%d (%s)", s.Path, s.Line, s.Locator) }

func TestScanFindsTheTruth(t *testing.T) {
	where := map[string]bool{}
	for seed := range uint64(60) {
		dir := t.TempDir()
		creds := everyKind(1 + int(seed%3))
		truth, err := Generate(dir, mrand.New(mrand.NewPCG(seed, 7)), creds)
		if err != nil {
			t.Fatal(err)
		}
		places, others, summary := scan(t, dir, creds)
		for i, c := range creds {
			var want []string
			for _, s := range truth.Sources[i] {
				want = append(want, place(s))
				where[s.Path] = true
			}
			slices.Sort(want)
			slices.Sort(places[i])
			if len(want) == 0 {
				t.Errorf("seed %d: %s was put nowhere", seed, c.Kind)
			}
			if !slices.Equal(places[i], want) {
				t.Errorf("seed %d: %s was found at %q, and stands at %q", seed, c.Kind, places[i], want)
			}
		}
		if len(others) > 0 || len(summary.Problems) > 0 {
			t.Errorf("seed %d: found what is no credential: %q; problems %+v", seed, others, summary.Problems)
		}
		if t.Failed() {
			return
		}
	}
	transcripts := 0
	for name := range where {
		if strings.HasSuffix(name, ".jsonl") {
			transcripts++
		}
	}
	if len(where)-transcripts != 8 || transcripts == 0 {
		t.Errorf("credentials were put into %d files over all seeds, not 8, and into %d transcripts: %v", len(where)-transcripts, transcripts, where)
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	creds := everyKind(2)
	var trees [2]map[string]string
	for i := range trees {
		dir := t.TempDir()
		if _, err := Generate(dir, mrand.New(mrand.NewPCG(3, 3)), creds); err != nil {
			t.Fatal(err)
		}
		trees[i] = read(t, dir)
	}
	for name, text := range trees[0] {
		if trees[1][name] != text {
			t.Errorf("%s differs", name)
		}
	}
	if len(trees[0]) != len(trees[1]) || len(trees[0]) < 30 {
		t.Errorf("%d files and %d files", len(trees[0]), len(trees[1]))
	}
}

// read returns the files below dir by their slash-separated paths.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Without credentials nothing in the tree looks like one.
func TestNoSecretsOfItsOwn(t *testing.T) {
	for seed := range uint64(20) {
		dir := t.TempDir()
		if _, err := Generate(dir, mrand.New(mrand.NewPCG(seed, 0)), nil); err != nil {
			t.Fatal(err)
		}
		if _, others, _ := scan(t, dir, nil); len(others) > 0 {
			t.Fatalf("found %q", others)
		}
		for name, text := range read(t, dir) {
			for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \n\"',={}[]", r) }) {
				if k, ok := credential.Recognize(w); ok {
					t.Errorf("%s holds what looks like a %s", name, k.Name)
				}
			}
		}
	}
}

// The traces hold together: every line is JSON, what the truth says stands in them, and the agent
// read out exactly what Shown names.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	creds := everyKind(2)
	truth, err := Generate(dir, mrand.New(mrand.NewPCG(11, 0)), creds)
	if err != nil {
		t.Fatal(err)
	}
	files := read(t, dir)
	for _, name := range []string{truth.Story.Transcript, truth.Story.Log} {
		var last any
		for i, line := range strings.Split(strings.TrimSpace(files[name]), "\n") {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s:%d: %v", name, i+1, err)
			}
			if v["type"] == "message" {
				if v["parentId"] != last {
					t.Errorf("%s:%d: parent %v, want %v", name, i+1, v["parentId"], last)
				}
				last = v["id"]
			}
		}
		for _, want := range []string{truth.Story.Page, truth.Story.Receiver, truth.Story.Session, "cat ~/.openclaw/.env"} {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s does not mention %s", name, want)
			}
		}
	}
	if !truth.Story.Injected.Before(truth.Story.Read) || !truth.Story.Read.Before(truth.Story.Sent) {
		t.Error("the story is out of order")
	}
	for i, c := range creds {
		shown := false
		for _, part := range c.Secret.Parts() {
			shown = shown || strings.Contains(files[truth.Story.Transcript], c.Secret.Reveal(part))
		}
		if shown != slices.Contains(truth.Shown, i) {
			t.Errorf("%s: shown to the attacker is %v", c.Kind, shown)
		}
	}
	if len(truth.Shown) == 0 {
		t.Error("nothing was shown")
	}
}

func TestLocateFindsTheTree(t *testing.T) {
	dir := t.TempDir()
	if _, err := Generate(dir, mrand.New(mrand.NewPCG(1, 0)), everyKind(1)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	found, problems := openclaw.Locate(root)
	if len(problems) > 0 || len(found) != 1 {
		t.Fatalf("found %+v, problems %+v", found, problems)
	}
	in := found[0]
	if in.StateDir != StateDir || in.Home != Home || in.Config != StateDir+"/openclaw.json" || in.Generation != "A" || !slices.Equal(in.Workspaces, []string{Workspace}) {
		t.Errorf("found %+v", in)
	}
}

func TestCredentialsThatCannotBePlaced(t *testing.T) {
	_, err := Generate(t.TempDir(), mrand.New(mrand.NewPCG(1, 0)), []credential.Credential{{Provider: "slack", Kind: "slack.bot"}})
	if err == nil || !strings.Contains(err.Error(), "slack.bot") {
		t.Errorf("error %v", err)
	}
}
