package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/drill"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// With these in its environment the program of the tests runs by a faster clock, and kills itself at
// the nth append to its record (before it, in the middle of the line, or right after) or right after
// an entry of some type.
const (
	paceEnv = "CLAWBACK_TEST_PACE"
	diesEnv = "CLAWBACK_TEST_DIES"
)

// mainOfTests is the program as the tests start it.
func mainOfTests() {
	if pace, err := strconv.ParseFloat(os.Getenv(paceEnv), 64); err == nil {
		ownClock, usualSpeed = drill.NewClock(pace), pace
	}
	if where := os.Getenv(faultyEnv); where != "" {
		during = faultAt(where)
	}
	if when := os.Getenv(diesEnv); when != "" {
		at, err := strconv.ParseInt(when, 10, 64)
		if err == nil {
			when = ""
		}
		ownDisk = &deadly{FS: disk.OS{}, at: at, with: when}
	}
	main()
}

// deadly is a disk at which the process dies by SIGKILL, which nothing can catch.
type deadly struct {
	disk.FS
	at      int64
	with    string
	appends atomic.Int64
}

func (d *deadly) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := d.FS.OpenFile(name, flag, perm)
	if err == nil && filepath.Base(name) == journal.FileName {
		f = &deadlyFile{f, d}
	}
	return f, err
}

type deadlyFile struct {
	disk.File
	d *deadly
}

// The ways to die at an append.
const (
	beforeAppend = iota
	tornAppend
	afterAppend
	waysToDie
)

func (f *deadlyFile) WriteAt(b []byte, off int64) (int, error) {
	if n := f.d.appends.Add(1); n == f.d.at {
		switch n % waysToDie {
		case tornAppend:
			_, _ = f.File.WriteAt(b[:len(b)/2], off)
		case afterAppend:
			_, _ = f.File.WriteAt(b, off)
		}
		die()
	}
	n, err := f.File.WriteAt(b, off)
	if f.d.with != "" && bytes.Contains(b, []byte(strconv.Quote(f.d.with))) {
		die()
	}
	return n, err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// crashPace is how much faster than the wall the world of these tests runs.
const crashPace = 8

// crashDesk is a desk with its own city, which goes on when the desk's program dies.
type crashDesk struct {
	*desk
	held []credential.Credential

	mu   sync.Mutex
	sent map[credential.Fingerprint]int // requests that change something and were accepted
	key  credential.FingerprintKey
}

func newCrashDesk(t *testing.T, kinds ...string) *crashDesk {
	clock := drill.NewClock(crashPace)
	c := &crashDesk{desk: newDesk(t), sent: make(map[credential.Fingerprint]int), key: credential.NewFingerprintKey()}
	c.city = &city{fakes: make(map[string]fake.Provider)}
	known, err := providers.New(func(string) revoke.Env { return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{})} })
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range providers.Fakes(clock) {
		server := httptest.NewServer(c.counting(p, known[p.Name()].Info().Reads))
		t.Cleanup(server.Close)
		c.city.fakes[p.Name()] = p
		c.city.args = append(c.city.args, "--endpoint", p.Name()+"="+server.URL)
	}
	c.held = c.hold(kinds...)
	c.authorise()
	c.env = append(c.env, fmt.Sprintf("%s=%d", paceEnv, crashPace))
	return c
}

// counting counts the requests to a fake that change something, for each credential that they are about.
func (c *crashDesk) counting(p fake.Provider, reads []revoke.Read) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		r.Body = io.NopCloser(bytes.NewReader(body))
		look := r.Clone(r.Context())
		look.Body, look.URL.Scheme, look.URL.Host, look.RequestURI = io.NopCloser(bytes.NewReader(body)), "http", r.Host, ""
		resp, err := revoke.ReadOnly(nowhere{}, reads, "http://"+r.Host).RoundTrip(look)
		if err == nil {
			_ = resp.Body.Close()
			p.ServeHTTP(w, r)
			return
		}
		text := r.URL.String() + string(body)
		for _, values := range r.Header {
			text += " " + strings.Join(values, " ")
		}
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, r)
		if answer.Code < 300 {
			c.count(text)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func (c *crashDesk) count(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, held := range c.held {
		names := []string{}
		for _, part := range held.Secret.Parts() {
			names = append(names, held.Secret.Reveal(part))
		}
		for _, name := range held.Ref {
			names = append(names, name)
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(text, name) }) {
			c.sent[c.key.Identify(held).Fingerprint]++
		}
	}
}

// nowhere answers what a transport lets through.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}

// dies runs a command that dies at its nth append, or with an entry. It reports whether it did.
func (c *crashDesk) dies(when any, args ...string) bool {
	c.t.Helper()
	cmd := c.command(args...)
	cmd.Env = append(slices.Clone(c.env), fmt.Sprintf("%s=%v", diesEnv, when))
	c.run(cmd)
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status.Signaled() && status.Signal() == syscall.SIGKILL
}

// crashed is what came of one death.
type crashed struct{ lost, doubled int }

// goOn resumes what is on record, or begins anew where nothing is, and holds the end against what a
// response that nobody disturbed comes to.
func (c *crashDesk) goOn(name string) (out crashed) {
	t := c.t
	t.Helper()
	var r ended
	if dir := c.begun(); dir != "" {
		r = c.run(c.command("resume", "--json", filepath.Base(dir)))
	} else {
		if c.mutations() > 0 {
			t.Errorf("%s: there is no record, and something was revoked", name)
		}
		r = c.run(c.command(c.killArgs()...))
	}
	s, err := incident.FoldAll(journal.Read(c.begun()))
	r.state = s
	r.contained(t)
	if err != nil || s.Exit == nil || *s.Exit != r.code || len(s.Credentials) != len(c.held) {
		t.Errorf("%s: the record ends with %v, %v, %d credentials of %d\n%s", name, s.Exit, err, len(s.Credentials), len(c.held), r.stderr)
	}
	for _, held := range c.held {
		if c.city.fakes[held.Provider].Alive(held) {
			out.lost++
			t.Errorf("%s: a %s is alive\n%s", name, held.Kind, r.stderr)
		}
	}
	out.lost += max(0, len(c.held)-s.Tally().Dead)
	out.doubled = c.doubled(name)
	verified := c.run(c.command("verify", filepath.Base(c.begun())))
	verified.wants(t, 0)
	return out
}

// begun is the folder of a record that says at least what was declared.
func (c *crashDesk) begun() string {
	for _, dir := range c.incidents() {
		for e, err := range journal.Read(dir) {
			if err == nil && e.Type == incident.TypeDeclared {
				return dir
			}
			break
		}
	}
	return ""
}

func (c *crashDesk) mutations() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.sent {
		n += m
	}
	return n
}

// doubled counts the revocations that a later run repeated although the answer was on record, or
// without a look between the two.
func (c *crashDesk) doubled(name string) (n int) {
	type past struct {
		run              int // of the newest intent
		answered, looked bool
	}
	of := make(map[credential.Fingerprint]*past)
	run := 0
	for e, err := range journal.Read(c.begun()) {
		if err != nil {
			c.t.Errorf("%s: %v", name, err)
			break
		}
		if e.Type == incident.TypeResumed {
			run++
		}
		var about incident.Probe // with what the others have too
		if !strings.HasPrefix(e.Type, "credential.") || e.Decode(&about) != nil {
			continue
		}
		p := of[about.Fingerprint]
		if p == nil {
			p = &past{run: -1}
			of[about.Fingerprint] = p
		}
		switch e.Type {
		case incident.TypeRevoke:
			if p.run >= 0 && run > p.run && (p.answered || !p.looked) {
				n++
				c.t.Errorf("%s: entry %d repeats a revocation; answered before: %v, looked at: %v", name, e.Seq, p.answered, p.looked)
			}
			p.run, p.answered, p.looked = run, false, false
		case incident.TypeReceipt:
			p.answered = true
		case incident.TypeBaseline, incident.TypeProbe:
			p.looked = p.looked || run > p.run && (about.Outcome == revoke.Alive.String() || strings.HasPrefix(about.Answer, "not asked"))
		}
	}
	return n
}

// sixKinds is the world of the short sweep; allKinds that of the long one.
var (
	sixKinds = []string{"github.pat", "github.pat", "slack.bot", "slack.user", "aws.access_key", "stripe.webhook_secret"}
	allKinds = slices.Concat(slices.Repeat([]string{"github.pat", "github.pat", "slack.bot", "slack.user", "aws.access_key"}, 3),
		slices.Repeat([]string{"aws.access_key", "stripe.webhook_secret"}, 2), []string{"slack.bot"})
)

// A run that is killed at any append to its record is gone on with: no credential is lost, and
// nothing is revoked twice unseen. With CLAWBACK_CRASH=all the world is that of a full drill, and
// every second one dies again when it goes on.
func TestRealCrash(t *testing.T) {
	kinds, all := sixKinds, os.Getenv("CLAWBACK_CRASH") == "all"
	if all {
		kinds = allKinds
	}
	whole := newCrashDesk(t, kinds...)
	r := whole.run(whole.command(whole.killArgs()...))
	r.check(t)
	r.contained(t)
	if t.Failed() {
		return
	}
	var mu sync.Mutex
	var sum crashed
	tried := 0
	atOnce := make(chan struct{}, 8) // more would keep each other from reading the machine's processes in time
	t.Run("each", func(t *testing.T) {
		for n := 1; n <= int(r.state.Entries); n++ { // an append holds an entry at least
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				c := newCrashDesk(t, kinds...)
				died := c.dies(n, c.killArgs()...)
				if again := c.begun(); all && died && n%2 == 0 && again != "" {
					c.dies(1+n/2, "resume", "--json", filepath.Base(again))
				}
				if !died {
					return // it was over before
				}
				out := c.goOn(fmt.Sprintf("append %d", n))
				mu.Lock()
				defer mu.Unlock()
				tried++
				sum.lost, sum.doubled = sum.lost+out.lost, sum.doubled+out.doubled
			})
		}
	})
	t.Logf("crash points tried: %d, lost %d, doubled %d", tried, sum.lost, sum.doubled)
	if tried < 20 {
		t.Error("hardly any run died")
	}
}

// A run that is killed right after the end of its record leaves that end without a seal. Verify says
// so, and resume seals it, without a further entry.
func TestRealCrashBehindTheEnd(t *testing.T) {
	t.Parallel()
	var c *crashDesk
	var s incident.State
	for range 4 { // a machine that is too busy for a freeze contains nothing: see busy
		c = newCrashDesk(t, "slack.bot")
		if !c.dies(incident.TypeClosed, c.killArgs()...) {
			t.Fatal("it did not die")
		}
		var err error
		if s, err = incident.FoldAll(journal.Read(c.begun())); err != nil {
			t.Fatal(err)
		}
		if s.ExitCode() == incident.ExitContained {
			break
		}
	}
	id := filepath.Base(c.begun())
	open := c.run(c.command("verify", id))
	open.wants(t, incident.ExitPartial, "are not sealed, its end among them", "clawback resume "+id)
	resumed := c.run(c.command("resume", id))
	resumed.wants(t, 0, "nothing to resume")
	whole := c.run(c.command("verify", id))
	whole.wants(t, 0)
	if after, err := incident.FoldAll(journal.Read(c.begun())); err != nil || after.Entries != s.Entries {
		t.Errorf("the record has %d entries instead of %d, %v", after.Entries, s.Entries, err)
	}
}
