package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/forensics/journal/witness/s3fake"
	"clawback/snapshots/deposit/timestamp/tsatest"
)

// custodyDesk is a desk that has evidence stamped, put away and held.
type custodyDesk struct {
	*crashDesk
	roots  string
	share  string
	bucket *s3fake.Server
}

func newCustodyDesk(t *testing.T) custodyDesk {
	t.Helper()
	d := custodyDesk{crashDesk: newCrashDesk(t, "github.pat"), share: t.TempDir()}
	keyID, secret := rand.Text(), rand.Text()
	d.bucket = &s3fake.Server{Bucket: "vault", KeyID: keyID, Locking: true}
	server := httptest.NewServer(d.bucket)
	t.Cleanup(server.Close)
	url, roots := tsatest.Serve(t)
	d.roots = roots
	d.env = append(d.env, "VAULT_KEY="+keyID, "VAULT_SECRET="+secret)
	d.configure(t, fmt.Sprintf(`evidence:
  timestamp: {url: %q, roots: %s}
  hold: true
  deposit:
    - directory: %s
    - s3: {bucket: vault, region: eu-central-1, prefix: evidence, retain: 365d, endpoint: %q, access_key_id: {env: VAULT_KEY}, secret_access_key: {env: VAULT_SECRET}}
`, url, roots, d.share, server.URL))
	return d
}

// configure adds to the desk's configuration, which has to stand for itself in the tests below.
func (d custodyDesk) configure(t *testing.T, text string) {
	t.Helper()
	before, err := os.ReadFile(d.config())
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(before), "evidence:\n")
	if err := os.WriteFile(d.config(), []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d custodyDesk) typed(text string, args ...string) ended {
	c := d.command(args...)
	c.Stdin = strings.NewReader(text + "\n")
	return d.run(c)
}

func (d custodyDesk) say(args ...string) ended { return d.typed("", args...) }

// log is what clawback custody --json prints.
func (d custodyDesk) log(t *testing.T, id string) (l custodyLog) {
	t.Helper()
	r := d.say("custody", id, "--json")
	r.wants(t, 0)
	if err := json.Unmarshal(r.stdout, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// From the kill to the court: evidence is stamped by a real authority, put away and read back, held,
// handed on and let go, and each of it can be checked with what everybody has.
func TestRealCustody(t *testing.T) {
	t.Parallel()
	d := newCustodyDesk(t)
	r := unlessBusy(t, func() ended { return d.run(d.command(d.killArgs()...)) })
	r.check(t)
	s, id, dir := r.state, r.summary.Incident, filepath.Dir(r.summary.Report)
	if step := s.Steps["deposit"]; step.Status != incident.Done || !s.Custody.Held() {
		t.Fatalf("deposit is %+v, held: %v\n%s", step.Outcome, s.Custody.Held(), r.stderr)
	}
	files := s.Custody.Item("files")
	if files == nil || files.Stamp() == nil {
		t.Fatalf("%+v\n%s", files, r.stderr)
	}
	path := filepath.Join(dir, filepath.FromSlash(files.Evidence.Path))
	copied := filepath.Join(d.share, id, filepath.Base(path))

	t.Run("log", func(t *testing.T) {
		l := d.log(t, id)
		item := l.Items[len(l.Items)-1]
		if l.Incident != id || l.Hold == nil || !l.Hold.On || item.Item != "files" || item.By != "tester" || item.Role != "responder" || item.Evidence.Package == "" || len(item.Events) < 4 {
			t.Errorf("%+v", l)
		}
		r := d.say("custody", id)
		r.wants(t, 0)
		for _, says := range []string{"Legal hold:", "SHA-256", item.Evidence.Package, "sealed by tester", "stamped: it existed on", "deposited to " + d.share, "deposited to s3://vault/evidence/" + id, "locked until", "tester, responder"} {
			if !bytes.Contains(r.stdout, []byte(says)) {
				t.Errorf("it does not say %q\n%s", says, r.stdout)
			}
		}
	})
	t.Run("verify", func(t *testing.T) {
		r := d.say("verify", id)
		r.wants(t, 0)
		for _, says := range []string{"existed on", "CN=Time Stamping Authority", "not asked: clawback custody deposit " + id} {
			if !bytes.Contains(r.stdout, []byte(says)) {
				t.Errorf("it does not say %q\n%s", says, r.stdout)
			}
		}
		d.say("verify", id, "--tsa-roots", d.config()).expects(t, incident.ExitUsage, "holds no certificate")
		stamp := path + ".tsr"
		whole, err := os.ReadFile(stamp)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.WriteFile(stamp, whole, 0o600) }()
		changed := bytes.Clone(whole)
		changed[len(changed)/2] ^= 1
		for name, do := range map[string]func() error{
			"changed": func() error { return os.WriteFile(stamp, changed, 0o600) },
			"gone":    func() error { return os.Remove(stamp) },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			if r := d.say("verify", id); r.code != incident.ExitNothing || !bytes.Contains(r.stderr, []byte(".tsr")) {
				t.Errorf("%s: %d\n%s", name, r.code, r.stderr)
			}
		}
	})
	t.Run("verify a package", func(t *testing.T) {
		for says, args := range map[string][]string{
			"the package existed on":  {copied},
			"the package existed on ": {copied, "--tsa-roots", d.roots},
		} {
			if r := d.say(append([]string{"verify"}, args...)...); r.code != 0 || !bytes.Contains(r.stdout, []byte(strings.TrimSpace(says))) {
				t.Errorf("%q: %d\n%s%s", args, r.code, r.stdout, r.stderr)
			}
		}
		if r := d.run(withoutConfig(d.command("verify", copied))); r.code != 0 || !bytes.Contains(r.stdout, []byte("NOT checked")) {
			t.Errorf("without roots: %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		other := filepath.Join(t.TempDir(), filepath.Base(path))
		for from, to := range map[string]string{path: other, path + ".sha256": other + ".sha256", d.roots: other + ".tsr"} {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		d.say("verify", other).expects(t, incident.ExitNothing, "no response of a time stamping authority")
		if err := os.Remove(other + ".tsr"); err != nil {
			t.Fatal(err)
		}
		d.say("verify", other).expects(t, 0, "")
		d.say("verify", other, "--tsa-roots", d.roots).expects(t, incident.ExitNothing, "no such file")
	})
	t.Run("public tools", func(t *testing.T) {
		for _, line := range courtCommands(t) {
			line = strings.NewReplacer("INC-20260301-0312", id, "/etc/clawback/tsa-roots.pem", d.roots, "/mnt/worm", d.share).Replace(line)
			c := exec.Command("sh", "-c", line)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	})
	t.Run("the package says that it is held", func(t *testing.T) {
		out, err := exec.Command("sh", "-c", `zstd -dcq "$1" | tar -xO files/bag-info.txt`, "sh", path).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Legal-Hold: the desk's configuration")) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("put away", func(t *testing.T) {
		objects := d.bucket.Objects()
		for _, ending := range []string{"", ".sha256", ".tsr"} {
			o, ok := objects["evidence/"+id+"/"+filepath.Base(path)+ending]
			want, err := os.ReadFile(path + ending)
			if err != nil || !ok || !bytes.Equal(o.Content, want) || o.Mode != "COMPLIANCE" || !o.Hold {
				t.Errorf("%s: %v, %v, %s, held: %v", ending, err, ok, o.Mode, o.Hold)
			}
			if got, err := os.ReadFile(copied + ending); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s on the share: %v", ending, err)
			}
		}
		r := d.say("custody", "deposit", id, "--dry-run")
		r.wants(t, 0, "nothing was sent")
		if !bytes.Contains(r.stdout, []byte("-> "+d.share)) {
			t.Errorf("%s", r.stdout)
		}
		puts := len(d.bucket.Puts())
		d.say("custody", "deposit", id).expects(t, 0, "deposited")
		if len(d.bucket.Puts()) != puts {
			t.Error("what lies there was sent again")
		}
		for _, what := range d.log(t, id).Items[0].Events {
			if what.Error != "" {
				t.Errorf("%+v", what)
			}
		}
	})
	t.Run("handed on", func(t *testing.T) {
		d.say("custody", "transfer", id, "--item", "files", "--to", "Carol Diaz, outside counsel", "--purpose", "review", "--at", "2026-01-02T03:04:05+01:00").expects(t, 0, "files evidence from tester, responder to Carol Diaz, outside counsel: review")
		d.say("custody", "access", id, "--item", "files", "--who", "Dan Roe, analyst", "--purpose", "timeline").expects(t, 0, "by Dan Roe, analyst: timeline")
		item := d.log(t, id).Items
		last := item[len(item)-1]
		if n := len(last.Events); last.Custodian != "Carol Diaz, outside counsel" || last.Events[n-2].At.Format("2006-01-02T15:04:05Z07:00") != "2026-01-02T02:04:05Z" || last.Events[n-1].What != "accessed" {
			t.Errorf("%+v", last)
		}
		report, err := os.ReadFile(filepath.Join(dir, "report.md"))
		if err != nil || !bytes.Contains(report, []byte("Chain of custody")) || !bytes.Contains(report, []byte("Carol Diaz, outside counsel")) {
			t.Errorf("the report does not say it: %v", err)
		}
		for says, args := range map[string][]string{
			"has no item":               {"transfer", id, "--item", "memory", "--to", "C, d", "--purpose", "p"},
			"a person and their role":   {"transfer", id, "--item", "files", "--to", "Carol", "--purpose", "p"},
			"both needed":               {"access", id, "--item", "files", "--who", "C, d"},
			"no time with its zone":     {"access", id, "--item", "files", "--who", "C, d", "--purpose", "p", "--at", "yesterday"},
			"still to come":             {"access", id, "--item", "files", "--who", "C, d", "--purpose", "p", "--at", "2126-01-02T03:04:05Z"},
			"name the incident":         {"stamp"},
			"takes an incident":         {"hold", id},
			"is under a legal hold alr": {"hold", id, "--reason", "again"},
			"leave one out":             {"deposit", id, "--dry-run", "--json"},
		} {
			d.say(append([]string{"custody"}, args...)...).expects(t, incident.ExitUsage, says)
		}
		d.say("custody", "stamp", id).expects(t, 0, "nothing to do")
		d.say("custody", "transfer", "INC-none", "--item", "files", "--to", "C, d", "--purpose", "p").expects(t, incident.ExitNoInstallation, "no incident")
	})
	t.Run("hold", func(t *testing.T) {
		d.typed("release", "custody", "hold", id, "--release", "--reason", "settled").expects(t, incident.ExitApproval, "the legal hold stands")
		d.typed("release "+id, "custody", "hold", id, "--release", "--reason", "settled").expects(t, 0, "released")
		d.say("custody", "hold", id, "--release", "--reason", "again").expects(t, incident.ExitUsage, "under no legal hold")
		d.say("custody", "hold", id, "--reason", "matter 17").expects(t, 0, "LEGAL HOLD")
		if l := d.log(t, id); len(l.Holds) != 3 || !l.Hold.On {
			t.Errorf("%+v", l.Holds)
		}
	})
	t.Run("changed there", func(t *testing.T) {
		if err := os.Chmod(copied, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.say("custody", "deposit", id).expects(t, incident.ExitPartial, "NOT DEPOSITED")
	})
	d.say("verify", id).expects(t, 0, "")
}

// withoutConfig has a command run as where nothing is configured.
func withoutConfig(c *exec.Cmd) *exec.Cmd {
	c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(v string) bool { return strings.HasPrefix(v, "CLAWBACK_CONFIG=") })
	return c
}

// expects is wants of a run that is not kept.
func (r ended) expects(t *testing.T, code int, says string) {
	t.Helper()
	r.wants(t, code, says)
}

// courtCommands are the commands that the README shows a court.
func courtCommands(t *testing.T) (lines []string) {
	t.Helper()
	src, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(src), "\n### For a court\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !ok {
		t.Fatal("the README has no section for a court")
	}
	for block := range strings.SplitSeq(section, "```sh\n") {
		code, _, found := strings.Cut(block, "```")
		if !found || block == section {
			continue
		}
		lines = append(lines, strings.Split(strings.TrimSpace(code), "\n")...)
	}
	if len(lines) < 3 {
		t.Fatalf("the README shows a court %q", lines)
	}
	return lines
}

// Nothing that becomes of evidence afterwards holds a response up or changes how it stands but for the
// step that failed; what failed is on record, and made good later.
func TestRealCustodyFails(t *testing.T) {
	t.Parallel()
	d := newCustodyDesk(t)
	good, err := os.ReadFile(d.config())
	if err != nil {
		t.Fatal(err)
	}
	nobody := httptest.NewServer(nil)
	nobody.Close()
	d.configure(t, fmt.Sprintf("evidence:\n  timestamp: {url: %q, roots: %s}\n  deposit:\n    - directory: %s\n", nobody.URL, d.roots, filepath.Join(d.dir, "not-mounted")))
	r := unlessBusy(t, func() ended { return d.run(d.command(d.killArgs()...)) })
	r.check(t)
	id := r.summary.Incident
	r.wants(t, incident.ExitPartial, "NOT STAMPED", "NOT DEPOSITED", "clawback custody deposit "+id)
	if step := r.state.Steps["deposit"]; step.Status != incident.Failed || r.state.Custody.Held() {
		t.Errorf("%+v", step.Outcome)
	}
	d.say("custody", "stamp", id).expects(t, incident.ExitPartial, "refused")
	d.say("custody", "deposit", id).expects(t, incident.ExitPartial, "no such file")
	for _, m := range r.state.OpenMatters() {
		if strings.Contains(m.What, "time stamp") && strings.Contains(m.Hint, "clawback custody stamp "+id) {
			goto said
		}
	}
	t.Errorf("it is not open: %+v", r.state.OpenMatters())
said:
	opens := func() bool {
		return slices.ContainsFunc(d.recorded().OpenMatters(), func(m incident.OpenMatter) bool { return m.Kind == incident.MatterStep })
	}
	if !opens() {
		t.Error("the failed step is not open")
	}
	if err := os.Mkdir(filepath.Join(d.dir, "not-mounted"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.say("custody", "deposit", id).expects(t, 0, "deposited")
	if opens() {
		t.Error("the step is still open, and was made good")
	}
	if err := os.WriteFile(d.config(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	d.say("custody", "stamp", id).expects(t, 0, "stamped")
	d.say("custody", "deposit", id).expects(t, 0, "deposited")
	d.say("verify", id).expects(t, 0, "")
	if l := d.log(t, id); l.Items[0].Events[len(l.Items[0].Events)-1].Error != "" {
		t.Errorf("%+v", l.Items[0].Events)
	}
	dry := d.run(d.command("kill", "--dry-run", "--root", d.root))
	if !bytes.Contains(dry.stderr, []byte("to s3://vault/evidence/INCIDENT")) || !bytes.Contains(dry.stderr, []byte("time stamps by http")) {
		t.Errorf("the plan does not say where evidence goes\n%s", dry.stderr)
	}
}
