package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// names writes a configuration that names these authorities, each part in a file, and the endpoints
// of the city.
func (d *desk) names(own ...credential.Credential) (files map[string]string) {
	d.t.Helper()
	files = make(map[string]string)
	text := "responder: tester\nauthorities:\n"
	for _, c := range own {
		text += fmt.Sprintf("  %s:\n    kind: %s\n    parts:\n", c.Provider, c.Kind)
		for _, part := range c.Secret.Parts() {
			file := filepath.Join(d.dir, c.Provider+"-"+part)
			files[c.Provider+"."+part] = file
			d.keepIn(file, c.Secret.Reveal(part))
			text += fmt.Sprintf("      %s: {file: %s}\n", part, file)
		}
	}
	text += "endpoints:\n"
	for i := 1; i < len(d.city.args); i += 2 {
		name, url, _ := strings.Cut(d.city.args[i], "=")
		text += fmt.Sprintf("  %s: %s\n", name, url)
	}
	d.keepIn(d.config(), text)
	d.env = append(d.env, "CLAWBACK_CONFIG="+d.config())
	return files
}

func (d *desk) keepIn(file, text string) {
	d.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// authority mints an authority at a provider of the city.
func (d *desk) authority(provider string) credential.Credential {
	d.t.Helper()
	c, ok := d.city.fakes[provider].MintAuthority()
	if !ok {
		d.t.Fatalf("%s has no authority", provider)
	}
	return c
}

// onlyReads fails the test at a request that is no declared read of its provider.
func onlyReads(t *testing.T, f fake.Provider) {
	known, err := providers.New(func(string) revoke.Env { return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{})} })
	if err != nil {
		t.Fatal(err)
	}
	look := revoke.ReadOnly(nowhere{}, known[f.Name()].Info().Reads, "http://fake")
	f.Knobs().SetFault(func(r *http.Request) fake.Fault {
		seen := r.Clone(r.Context())
		seen.URL.Scheme, seen.URL.Host, seen.RequestURI = "http", "fake", ""
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		r.Body, seen.Body = readCloser{bytes.NewReader(body.Bytes())}, readCloser{bytes.NewReader(body.Bytes())}
		resp, err := look.RoundTrip(seen)
		if err != nil {
			t.Errorf("%s: %v", f.Name(), err)
			return fake.Fault{}
		}
		_ = resp.Body.Close()
		return fake.Fault{}
	})
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// The authorities are tested in quiet times: what works says whose it is, what does not says what to
// do, for people and for programs, and nothing is sent but reads.
func TestRealReady(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stripe, github, discord := d.authority("stripe"), d.authority("github"), d.authority("discord")
	files := d.names(stripe, github, discord)
	for _, name := range []string{"stripe", "github"} {
		onlyReads(t, d.city.fakes[name])
	}
	check := func(args ...string) (r ended, of map[string]incident.Authority) {
		t.Helper()
		r = d.run(d.command(append([]string{"providers", "--check", "--json"}, args...)...))
		var all []incident.Authority
		if err := json.Unmarshal(r.stdout, &all); err != nil {
			t.Fatalf("%v: %s\n%s", err, r.stdout, r.stderr)
		}
		of = make(map[string]incident.Authority)
		for _, a := range all {
			of[a.Provider] = a
		}
		return r, of
	}
	r, of := check()
	r.wants(t, 0)
	if len(of) != 3 || of["stripe"].Outcome != incident.AuthorityUsable || of["discord"].Outcome != incident.AuthorityUntested ||
		of["github"].Outcome != incident.AuthorityUsable || of["github"].Who != "login=mona" || len(of["github"].Reach) == 0 || !strings.Contains(of["github"].From, "file "+d.dir) {
		t.Errorf("%+v", of)
	}

	d.city.fakes["stripe"].RevokeByHand(stripe)
	if err := os.Remove(files["github.value"]); err != nil {
		t.Fatal(err)
	}
	r, of = check()
	r.wants(t, incident.ExitAuthority, "cannot be used: github, stripe")
	if s, g := of["stripe"], of["github"]; s.Outcome != incident.AuthorityRefused || !strings.HasPrefix(s.Answer, "401 ") || g.Outcome != incident.AuthorityMissing ||
		s.Hint != "write the new one into "+files["stripe.value"] {
		t.Errorf("%+v", of)
	}
	r, of = check("discord")
	if r.wants(t, 0); len(of) != 1 {
		t.Errorf("%+v", of)
	}
	r, _ = check("slack.bot")
	r.wants(t, incident.ExitAuthority, "names no authority for slack")
	text := d.run(d.command("providers", "--check"))
	text.wants(t, incident.ExitAuthority)
	for _, says := range []string{"stripe\n  authority   stripe.api_key file", "is          refused", "because     401 ", "hint        write the new one into"} {
		if !bytes.Contains(text.stdout, []byte(says)) {
			t.Errorf("it does not say %q:\n%s", says, text.stdout)
		}
	}
	checkCanaries(t, []credential.Credential{stripe, github, discord}, map[string][]byte{"stdout": append(text.stdout, r.stdout...), "stderr": text.stderr})
	if _, err := os.Stat(filepath.Join(d.dir, "state")); err == nil {
		t.Error("something was kept")
	}
}

// An authority that has expired is said to be so beside the search, blocks its own rows alone, and is
// read anew when the response is resumed. A dry run asks nobody with it.
func TestRealAuthorityExpires(t *testing.T) {
	t.Parallel()
	d := newCrashDesk(t, "stripe.webhook_secret", "slack.bot")
	held := d.held
	expired := d.authority("stripe")
	files := d.names(expired)
	d.city.fakes["stripe"].RevokeByHand(expired)

	d.city.fakes["stripe"].Knobs().SetFault(func(r *http.Request) fake.Fault { t.Errorf("a dry run sent %s", r.URL.Path); return fake.Fault{} })
	dry := d.run(d.command("kill", "--dry-run", "--root", d.root))
	dry.wants(t, 0, "revoked with your authority")
	d.city.fakes["stripe"].Knobs().SetFault(nil)

	r := unlessBusy(t, func() ended { return d.kill() })
	r.wants(t, incident.ExitAuthority, "NO AUTHORITY stripe: refused: 401", "hint: write the new one into "+files["stripe.value"])
	if a := r.state.Authorities["stripe"]; a.Outcome != incident.AuthorityRefused {
		t.Errorf("%+v", a)
	}
	if d.city.fakes["slack"].Alive(held[1]) || !d.city.fakes["stripe"].Alive(held[0]) || r.summary.Credentials.Dead != 1 {
		t.Errorf("it blocks more or less than its own row: %+v", r.summary.Credentials)
	}

	renewed := d.authority("stripe")
	d.keepIn(files["stripe.value"], renewed.Secret.Reveal("value"))
	r = unlessBusy(t, func() ended { return d.resumed() })
	r.wants(t, 0, "your own     stripe: usable")
	if d.city.fakes["stripe"].Alive(held[0]) || r.state.Authorities["stripe"].Bad() {
		t.Errorf("it is alive, and the authority %+v", r.state.Authorities["stripe"])
	}
	checkCanaries(t, append(held, expired, renewed), map[string][]byte{"stdout": r.stdout, "stderr": r.stderr})
}
