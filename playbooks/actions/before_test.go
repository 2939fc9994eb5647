package actions

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// live is one run of a response whose record is on disk: the first one, or one that goes on with it.
// The process ends without a last word where die is called.
func live(t *testing.T, r *Response, h host.Host, die func(j *journal.Journal), uses ...string) incident.State {
	t.Helper()
	next := &Response{
		Dir: r.Dir, Host: h, Clock: r.Clock, Desk: r.Desk, Version: r.Version, Authorities: r.Authorities, Key: r.Key,
		Accepted: r.Accepted, Report: r.Report, Providers: r.Providers, Recipients: r.Recipients, Sign: r.Sign,
	}
	var j *journal.Journal
	var err error
	if _, there := os.Stat(filepath.Join(r.Dir, journal.FileName)); there == nil {
		j, _, err = journal.Open(r.Dir, journal.Holder{}, time.Now)
		if err == nil {
			next.Before, err = Recall(j.Entries(t.Context()), incident.Resumed{By: "dana", Desk: "bastion-2"})
		}
	} else {
		j, err = journal.Create(r.Dir, journal.Holder{}, time.Now)
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &engine.Engine{Journal: j, Playbook: book(uses...), Clock: r.Clock, Facts: map[string]bool{"remote": true}}
	if die != nil {
		e.Actions = next.Actions()
		if err := next.begin(t.Context(), e, incident.Declared{Incident: "CLAW-1", Mode: incident.Real}); err != nil {
			t.Fatal(err)
		}
		die(j)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		return incident.State{}
	}
	s, err := next.Carry(t.Context(), e, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
	if err = errors.Join(err, j.Close()); err != nil || s.Unreadable > 0 {
		t.Errorf("Carry: %v, %d entries of no use", err, s.Unreadable)
	}
	return s
}

// note writes what an earlier run left in a record.
func note(t *testing.T, j *journal.Journal, typ string, data any) {
	t.Helper()
	if err := j.Append(t.Context(), typ, data); err != nil {
		t.Fatal(err)
	}
}

// What is in the place of evidence and is not what the record says was sealed is set aside under a
// name that says so, and captured anew; what was cut short gets company.
func TestEvidenceOfAnEarlierRun(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, dir string)
		aside  string
		sealed int // packages at the end
		calls  int
	}{
		"whole":   {func(*testing.T, string) {}, "", 1, 1},
		"changed": {func(t *testing.T, path string) { spoil(t, path) }, "files.broken-1", 1, 2},
		"gone":    {func(t *testing.T, path string) { remove(t, path) }, "", 1, 2},
		"exchanged": {func(t *testing.T, path string) {
			remove(t, path)
			seal(t, strings.TrimSuffix(path, snapshots.Suffix), "other")
		}, "files.broken-1", 1, 2},
		"half again": {func(t *testing.T, path string) { remove(t, path); write(t, path+".partial", "half") }, "files.half-written-1", 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := &machine{}
			r := newResponse(t, h)
			live(t, r, h, nil, "evidence.capture files")
			path := filepath.Join(r.Dir, "evidence", "files"+snapshots.Suffix)
			c.spoil(t, path)
			s := live(t, r, h, nil, "evidence.capture files")
			want(t, s, "files", incident.Done, "")
			if len(s.Sealed) != c.sealed {
				t.Errorf("sealed %+v", s.Sealed)
			}
			if err := checkBag(path, s.Sealed[0]); err != nil {
				t.Error(err)
			}
			captures := slices.DeleteFunc(slices.Clone(h.calls), func(c string) bool { return !strings.HasPrefix(c, "capture") })
			if len(captures) != c.calls {
				t.Errorf("captured %d times", len(captures))
			}
			if _, err := os.Stat(filepath.Join(r.Dir, "evidence", c.aside)); err != nil {
				t.Errorf("%v", err)
			}
			if said := slices.ContainsFunc(s.Warnings, func(w incident.Warning) bool { return strings.Contains(w.Text, "set aside as evidence/"+c.aside) }); said != (c.aside != "") {
				t.Errorf("it says %+v", s.Warnings)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// spoil flips a bit in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		b[len(b)/2] ^= 1
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func seal(t *testing.T, dir, text string) {
	t.Helper()
	bag, err := snapshots.NewBag(dir, snapshots.Info{})
	if err == nil {
		err = whole(bag, "openclaw.json", text)
	}
	if err == nil {
		_, err = bag.Seal()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A package that lies there sealed and is not on record was not sealed by anybody who said so. One
// that was cut short is evidence, and not all of it.
func TestEvidenceWithoutARecord(t *testing.T) {
	h := &machine{}
	r := newResponse(t, h)
	live(t, r, h, func(*journal.Journal) { seal(t, filepath.Join(r.Dir, "evidence", "files"), "who knows") }, "evidence.capture files")
	s := live(t, r, h, nil, "evidence.capture files")
	want(t, s, "files", incident.Done, "")
	if _, err := os.Stat(filepath.Join(r.Dir, "evidence", "files.unrecorded-1")); err != nil || len(s.Sealed) != 1 {
		t.Errorf("%v, sealed %+v", err, s.Sealed)
	}

	h.capture = func(ctx context.Context, _ string, sink snapshots.Sink) (snapshots.Captured, error) {
		return snapshots.Captured{Files: 1}, errors.Join(whole(sink, "openclaw.json", "{}"), context.DeadlineExceeded)
	}
	r = newResponse(t, h)
	s = live(t, r, h, nil, "evidence.capture files")
	want(t, s, "files", incident.Failed, "ended early")
	h.capture = nil
	s = live(t, r, h, nil, "evidence.capture files")
	want(t, s, "files", incident.Done, "")
	if len(s.Sealed) != 2 || s.Sealed[1].Path != "evidence/files-2"+snapshots.Suffix {
		t.Errorf("sealed %+v", s.Sealed)
	}
	s = live(t, r, h, nil, "evidence.capture files")
	if len(s.Sealed) != 2 {
		t.Errorf("captured a third time: %+v", s.Sealed)
	}
}

// The agent is frozen again whatever happened to its machine, unless it was killed. A kill of which
// nobody knows how far it came is looked at before it is repeated.
func TestAgentOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		live(t, r, h, nil, "agent.freeze")
		live(t, r, h, nil, "agent.freeze")
		if n := len(slices.DeleteFunc(slices.Clone(h.calls), func(c string) bool { return c != "freeze" })); n != 2 {
			t.Errorf("frozen %d times", n)
		}

		h = &machine{stop: func(context.Context) (containment.Stopped, error) { return containment.Stopped{Wait: time.Hour}, nil }}
		r = newResponse(t, h)
		uses := []string{"agent.freeze", "evidence.capture volatile", "agent.stop", "agent.check"}
		live(t, r, h, func(j *journal.Journal) {
			note(t, j, incident.TypePlan, engine.Plan(book(uses...)))
			note(t, j, incident.TypeStepIntent, incident.StepIntent{Step: "stop"})
		}, uses...)
		began := time.Now()
		s := live(t, r, h, nil, uses...)
		if got := strings.Join(h.calls, " "); got != "freeze capture volatile check stop check close" {
			t.Error(got)
		}
		if s.Stopped.WaitMS != time.Hour.Milliseconds() || time.Since(began) < time.Hour {
			t.Errorf("%+v after %v", s.Stopped, time.Since(began))
		}

		h = &machine{}
		r = newResponse(t, h)
		live(t, r, h, func(j *journal.Journal) {
			note(t, j, incident.TypePlan, engine.Plan(book(uses...)))
			for _, id := range []string{"freeze", "volatile", "stop"} {
				note(t, j, incident.TypeStepIntent, incident.StepIntent{Step: id})
				note(t, j, incident.TypeStepOutcome, incident.StepOutcome{Step: id, Status: incident.Done})
			}
			note(t, j, incident.TypeStopped, incident.Stopped{Killed: 1, WaitMS: 5000})
		}, uses...)
		began = time.Now()
		s = live(t, r, h, nil, uses...)
		want(t, s, "check", incident.Done, "")
		if got := strings.Join(h.calls, " "); got != "check close" || time.Since(began) != 5*time.Second {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
}

// What is found again is no second find, is not lost with the file that held it, and is not touched
// where somebody decided so. The host may be gone: what is on record dies all the same.
func TestCredentialsOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		mint := func() credential.Credential { return r.Key.Identify(fakes["slack"].Mint("slack.bot")) }
		kept, moved, skipped, dead := mint(), mint(), mint(), mint()
		h.discover = finds(foundAt(kept, "a"), foundAt(moved, "a"), foundAt(skipped, "a"), foundAt(dead, "a"))
		uses := []string{"credentials.discover", "credentials.revoke"}
		live(t, r, h, func(j *journal.Journal) {
			note(t, j, incident.TypePlan, engine.Plan(book(uses...)))
		}, uses...)
		found := &Response{Dir: r.Dir, Host: h, Key: r.Key, Clock: r.Clock, Providers: r.Providers}
		found.Actions()
		live(t, r, h, func(j *journal.Journal) {
			rec := &onRecord{t, j}
			_ = found.discover(t.Context(), book(uses...).Steps()[0], rec)
			note(t, j, incident.TypeCommand, incident.Command{Kind: incident.Skip, Credential: skipped.Fingerprint})
			note(t, j, incident.TypeLife, incident.Life{Fingerprint: dead.Fingerprint, Life: credential.Dead})
		}, uses...)
		found.vault.close()

		gone := Gone{Target: "web-1", Far: true, Why: errors.New("no route to host")}
		s := live(t, r, gone, nil, uses...)
		for _, c := range []credential.Credential{kept, moved} {
			if got := s.Credential(c.Fingerprint); got.Life != credential.Dead || fakes["slack"].Alive(c) {
				t.Errorf("without the host %s is %s: %s", c, got.Life, got.Error)
			}
		}
		if got := s.Credential(skipped.Fingerprint); got.Life != credential.Skipped || !fakes["slack"].Alive(skipped) {
			t.Errorf("what was to be left alone is %s", got.Life)
		}
		if !fakes["slack"].Alive(dead) {
			t.Error("what was dead on record was revoked again")
		}
		want(t, s, "discover", incident.Failed, "no route to host")

		h.discover = finds(foundAt(kept, "b"), foundAt(kept, "a"), foundAt(mint(), "c"))
		s = live(t, r, h, nil, uses...)
		if len(s.Credentials) != 5 || s.Credentials[4].Life != credential.Dead {
			t.Errorf("%d credentials, the last is %+v", len(s.Credentials), s.Credentials[len(s.Credentials)-1])
		}
		if got := s.Credential(kept.Fingerprint).Sources; len(got) != 2 || got[1].Path != "b" {
			t.Errorf("found in %v", got)
		}
	})
}

// onRecord is the recorder of a step that dies.
type onRecord struct {
	t *testing.T
	j *journal.Journal
}

func (r *onRecord) Intent(_ context.Context, typ string, data any) error {
	note(r.t, r.j, typ, data)
	return nil
}
func (r *onRecord) Note(typ string, data any) { note(r.t, r.j, typ, data) }
func (r *onRecord) Ask(context.Context, incident.Question) (incident.Answer, error) {
	return incident.Answer{}, errBroken
}

// A credential of the gateway dies with it, also one that is found when the gateway is down already.
func TestGatewayCredentialFoundLate(t *testing.T) {
	h := &machine{discover: finds(discover.Found{Provider: "openclaw", Kind: "openclaw.gateway", Secret: credential.Value(rand.Text()), Source: credential.Source{Path: "a"}})}
	s := play(t, newResponse(t, h), "agent.freeze", "evidence.capture volatile", "agent.stop", "agent.check", "credentials.discover")
	if len(s.Credentials) != 1 || s.Credentials[0].Life != credential.Dead {
		t.Errorf("%+v", s.Credentials)
	}
}

// What a record says of a credential is what the sweep goes on with.
func TestRecall(t *testing.T) {
	f := credential.Fingerprint("f1")
	life := func(l credential.Life, reason string) []any {
		return []any{incident.TypeLife, incident.Life{Fingerprint: f, Life: l, Reason: reason}}
	}
	alive := []any{incident.TypeBaseline, incident.Probe{Fingerprint: f, Outcome: "alive"}}
	intended := []any{incident.TypeRevoke, incident.Revoke{Fingerprint: f}}
	accepted := []any{incident.TypeReceipt, incident.Receipt{Fingerprint: f, Answer: "200"}}
	already := []any{incident.TypeReceipt, incident.Receipt{Fingerprint: f, Already: true}}
	told := func(kind string) []any {
		return []any{incident.TypeCommand, incident.Command{Kind: kind, Credential: f}}
	}
	for name, c := range map[string]struct {
		entries [][]any
		want    revoke.Past
		left    bool
	}{
		"nothing":             {nil, revoke.Past{}, false},
		"alive":               {[][]any{alive}, revoke.Past{SeenAlive: true}, false},
		"no answer":           {[][]any{alive, intended}, revoke.Past{SeenAlive: true, Unsure: true}, false},
		"accepted":            {[][]any{alive, intended, accepted}, revoke.Past{SeenAlive: true, Existed: true, Accepted: true}, false},
		"dead before":         {[][]any{intended, already}, revoke.Past{Accepted: true}, false},
		"accepted, lives":     {[][]any{intended, accepted, life(credential.Alive, "")}, revoke.Past{Existed: true, Overdue: true}, false},
		"accepted, dies late": {[][]any{intended, accepted, life(credential.Alive, ""), {incident.TypeProbe, incident.Probe{Fingerprint: f, Outcome: revoke.Refused.String()}}}, revoke.Past{Existed: true, Accepted: true}, false},
		"refused":             {[][]any{intended, life(credential.Failed, "")}, revoke.Past{}, false},
		"by hand":             {[][]any{told(incident.ByHand)}, revoke.Past{Accepted: true}, false},
		"by hand, again":      {[][]any{told(incident.ByHand), told(incident.Retry)}, revoke.Past{}, false},
		"left":                {[][]any{told(incident.Skip)}, revoke.Past{}, true},
		"left, and said":      {[][]any{told(incident.Skip), life(credential.Skipped, incident.ReasonDecision)}, revoke.Past{}, true},
		"left, then again":    {[][]any{told(incident.Skip), life(credential.Skipped, incident.ReasonDecision), told(incident.Retry)}, revoke.Past{}, false},
		"ours":                {[][]any{life(credential.Skipped, incident.ReasonOurs)}, revoke.Past{}, false},
	} {
		j := journal.InMemory(time.Now)
		found := incident.Found{Credential: credential.Credential{Fingerprint: f}}
		note(t, j, incident.TypeFound, found)
		for _, e := range c.entries {
			note(t, j, e[0].(string), e[1])
		}
		b, err := Recall(j.Entries(t.Context()), incident.Resumed{})
		if err != nil || b.State.Unreadable > 0 {
			t.Errorf("%s: %v, %v", name, err, b.State.Warnings)
		}
		r := &Response{Before: b}
		if got := r.past(f); got != c.want || b.skip[f] != c.left {
			t.Errorf("%s: %+v, left alone %v", name, got, b.skip[f])
		}
		_ = j.Close()
	}
}

// A plan on record may have been tampered with: what it calls a part of the evidence moves nothing.
func TestPartsThatAreNone(t *testing.T) {
	for _, part := range []string{"", ".", "../../theirs"} {
		r := newResponse(t, &machine{})
		theirs, ours := filepath.Join(r.Dir, "..", "theirs"), filepath.Join(r.Dir, "evidence", "files")
		if err := errors.Join(os.MkdirAll(theirs, 0o700), os.MkdirAll(ours, 0o700)); err != nil {
			t.Fatal(err)
		}
		live(t, r, r.Host, func(*journal.Journal) {}, "evidence.capture files")
		plan := book("evidence.capture files")
		plan.Phases[0].Steps[0].With["part"] = part
		j, _, err := journal.Open(r.Dir, journal.Holder{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if r.Before, err = Recall(j.Entries(t.Context()), incident.Resumed{By: "dana"}); err != nil {
			t.Fatal(err)
		}
		s, err := r.Carry(t.Context(), &engine.Engine{Journal: j, Playbook: plan, Clock: r.Clock}, incident.Declared{})
		if err = errors.Join(err, j.Close()); err != nil {
			t.Fatal(err)
		}
		if got := s.Steps["files"]; got == nil || got.Status != incident.Failed || !strings.Contains(got.Outcome.Error, "unknown part") {
			t.Errorf("%q: %+v", part, got)
		}
		for _, dir := range []string{theirs, ours} {
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("%q: %v", part, err)
			}
		}
	}
}

// What lived on after its revocation was accepted is revoked again, unless it was refused since.
func TestWhatBitLateIsNotRevokedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		seen    []revoke.Outcome // since
		intents int
	}{"it lives": {nil, 2}, "refused since": {[]revoke.Outcome{revoke.Refused}, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{}
				r := newResponse(t, m)
				fakes := simulated(t, r)
				token := r.Key.Identify(fakes["github"].Mint("github.pat"))
				m.discover = finds(foundAt(token, "a"))
				live(t, r, m, func(j *journal.Journal) {
					about := token.Fingerprint
					note(t, j, incident.TypeFound, incident.Found{Credential: token})
					note(t, j, incident.TypeRevoke, incident.Revoke{Fingerprint: about})
					note(t, j, incident.TypeReceipt, incident.Receipt{Fingerprint: about, Answer: "202"})
					note(t, j, incident.TypeProbe, incident.Probe{Fingerprint: about, Outcome: revoke.Alive.String()})
					note(t, j, incident.TypeLife, incident.Life{Fingerprint: about, Life: credential.Alive})
					for _, o := range c.seen {
						note(t, j, incident.TypeProbe, incident.Probe{Fingerprint: about, Outcome: o.String()})
					}
				}, "credentials.discover", "credentials.revoke")
				live(t, r, m, nil, "credentials.discover", "credentials.revoke")
				intents := 0
				for e, err := range journal.Read(r.Dir) {
					if err != nil {
						t.Fatal(err)
					}
					if e.Type == incident.TypeRevoke {
						intents++
					}
				}
				if intents != c.intents {
					t.Errorf("%d revocations, want %d", intents, c.intents)
				}
			})
		})
	}
}
