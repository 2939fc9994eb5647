package drill

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/disk/disktest"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/report"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers"
)

var errKilled = errors.New("the process was killed")

// crashWorld is a world in which the desk dies: what it did stays done, at the providers and on the
// host, and what reached its disk is all that the next run has.
type crashWorld struct {
	*World
	t      *testing.T
	victim *victim
	key    credential.FingerprintKey
	parent string // of the incident's folder; what a loss of power can take is below it
	names  map[credential.Fingerprint][]string

	runs int
	mu   sync.Mutex
	sent []mutation
}

// mutation is a request to revoke that reached a provider.
type mutation struct {
	of  credential.Fingerprint
	run int
	at  time.Time
}

// newCrashWorld holds every kind of credential: all providers, by themselves, with an
// authority, in batches and by hand.
func newCrashWorld(t *testing.T) *crashWorld {
	s := Scenarios[0]
	s.Lag = 11 * time.Second // longer than a run takes to be resumed: what was accepted still answers
	w := &crashWorld{World: bare(t, s), t: t, key: credential.NewFingerprintKey(), parent: t.TempDir()}
	w.names = make(map[credential.Fingerprint][]string)
	for _, c := range w.Held {
		f := w.key.Identify(c).Fingerprint
		for _, part := range c.Secret.Parts() {
			w.names[f] = append(w.names[f], c.Secret.Reveal(part))
		}
		for _, name := range c.Ref {
			w.names[f] = append(w.names[f], name)
		}
	}
	w.victim = &victim{held: w.Held, clock: w.clock}
	return w
}

// wire is the way of one process to one provider. It ends with the process.
type wire struct {
	w     *crashWorld
	run   int
	next  http.RoundTripper
	reads http.RoundTripper // says what changes nothing
	dead  <-chan struct{}
}

func (l wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if gone(l.dead) {
		return nil, errKilled
	}
	look := r.Clone(r.Context())
	look.Body = io.NopCloser(bytes.NewReader(body))
	if resp, err := l.reads.RoundTrip(look); err != nil {
		l.w.sends(l.run, r, body)
	} else {
		_ = resp.Body.Close()
	}
	send := r.Clone(r.Context())
	send.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := l.next.RoundTrip(send)
	if gone(l.dead) && err == nil {
		_ = resp.Body.Close()
		return nil, errKilled
	}
	return resp, err
}

func gone(dead <-chan struct{}) bool {
	select {
	case <-dead:
		return true
	default:
		return false
	}
}

// nowhere answers what a transport lets through.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
}

// sends notes a request that changes something, for each credential that it is about.
func (w *crashWorld) sends(run int, r *http.Request, body []byte) {
	text := r.URL.String() + string(body)
	for _, values := range r.Header {
		text += strings.Join(values, " ")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for f, names := range w.names {
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(text, name) }) {
			w.sent = append(w.sent, mutation{f, run, time.Now()})
		}
	}
}

// slow is a disk that takes its time, so that what is sent before it is on disk is sent, in the time
// of the world, before the disk dies.
type slow struct{ disk.FS }

func (s slow) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return slowFile{f}, nil
}

type slowFile struct{ disk.File }

func (f slowFile) WriteAt(b []byte, at int64) (int, error) {
	time.Sleep(time.Millisecond)
	return f.File.WriteAt(b, at)
}

func (f slowFile) Sync() error {
	time.Sleep(time.Millisecond)
	return f.File.Sync()
}

// run lets one process respond, or go on with what is in dir, until it is done or its disk dies.
func (w *crashWorld) run(dir string, d *disktest.Disk, unreachable bool) (incident.State, error) {
	fsys := slow{d}
	w.runs++
	run := w.runs
	ctx, die := context.WithCancelCause(context.Background())
	defer die(nil)
	var beside sync.WaitGroup
	defer beside.Wait()
	over := make(chan struct{})
	defer close(over)
	beside.Go(func() {
		select {
		case <-d.Dead():
			die(errKilled)
		case <-over:
		}
	})
	book, err := playbooks.Builtin(playbooks.SuspectedCompromise, actions.Names())
	if err != nil {
		return incident.State{}, err
	}
	work := &actions.Response{
		Dir: dir, Disk: fsys, Host: w.victim.seenBy(d.Dead()), Authorities: w.Authorities, Clock: w.clock,
		Desk: "bastion", Version: "test", Attended: true, Key: w.key,
	}
	if unreachable {
		work.Host = actions.Gone{Target: "root@web-1", Far: true, Why: errors.New("no route to host")}
	}
	declared := incident.Declared{Incident: filepath.Base(dir), Mode: incident.Real, Playbook: book.Name, Target: "root@web-1", Remote: true, Attended: true}
	var j *journal.Journal
	if _, err := os.Stat(filepath.Join(dir, journal.FileName)); errors.Is(err, fs.ErrNotExist) {
		j, err = journal.CreateOn(fsys, dir, journal.Holder{}, time.Now)
		if err != nil {
			j = journal.Refused(err, time.Now) // as the desk does: the response goes on
		}
	} else {
		var cut int64
		if j, cut, err = journal.OpenOn(fsys, dir, journal.Holder{}, time.Now); err != nil {
			return incident.State{}, err
		}
		work.Before, err = actions.Recall(j.Entries(ctx), incident.Resumed{By: "dana", Desk: "bastion", Cut: int(cut)})
		if err == nil && len(work.Before.State.Plan.Phases) > 0 {
			book, err = engine.Book(work.Before.State.Declared, work.Before.State.Plan, actions.Names())
		}
		if err != nil {
			return incident.State{}, errors.Join(err, j.Close())
		}
	}
	work.Report = func(ctx context.Context) (incident.Report, error) {
		s, err := incident.FoldAll(j.Entries(ctx))
		if err != nil {
			return incident.Report{}, err
		}
		return report.WriteOn(fsys, dir, s, j.Entries(ctx))
	}
	var lines []*http.Transport
	work.Providers, err = providers.New(func(name string) revoke.Env {
		transport := w.network.Transport()
		lines = append(lines, transport)
		var reads []revoke.Read
		for _, p := range knownProviders {
			if p.Name == name {
				reads = p.Reads
			}
		}
		client := &http.Client{
			Transport:     wire{w: w, run: run, next: transport, reads: revoke.ReadOnly(nowhere{}, reads, ""), dead: d.Dead()},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		return revoke.Env{HTTP: client, Authority: w.Authorities.For(name), Sleep: w.clock.Sleep, Now: w.clock.Now}
	})
	if err != nil {
		return incident.State{}, err
	}
	e := &engine.Engine{Journal: j, Playbook: book, Clock: w.clock, Facts: map[string]bool{"remote": true}}
	person := &Person{World: w.World, Engine: e}
	e.Decider = person
	beside.Go(func() { w.Obey(ctx, j.Cursor(), w.key) })
	beside.Go(func() { person.Work(ctx, j.Cursor()) })
	state, err := work.Carry(ctx, e, declared)
	err = errors.Join(err, j.Close())
	for _, l := range lines {
		l.CloseIdleConnections()
	}
	return state, err
}

// knownProviders is what the providers say of themselves.
var knownProviders = func() (infos []revoke.Info) {
	all, err := providers.New(func(string) revoke.Env { return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{})} })
	if err != nil {
		panic(err)
	}
	for _, p := range all {
		infos = append(infos, p.Info())
	}
	return infos
}()

// end ends the world.
func (w *crashWorld) end() { _ = w.network.Close() }

// disk returns a disk over what is there, for one process.
func (w *crashWorld) disk() *disktest.Disk {
	d, err := disktest.New(w.parent)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *crashWorld) dir() string { return filepath.Join(w.parent, "INC-1") }
