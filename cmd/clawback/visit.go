package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/report"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
	"clawback/tui"
)

// visit is a look at a response that another process carries out, or did.
type visit struct {
	app *app
	dir string
	id  string
	by  string
	key ssh.Signer // the incident's own; nil for who only watches
	now func() time.Time
	rec *pacedRecord

	mu   sync.Mutex
	sent map[string]bool // files of messages that were put into the inbox
}

func newVisit(a *app, dir string) (*visit, error) {
	v := &visit{app: a, dir: dir, by: principal(a.responder()), rec: &pacedRecord{cursor: journal.Follow(dir)}, sent: make(map[string]bool)}
	for e, err := range journal.Read(dir) {
		var d incident.Declared
		if err == nil {
			err = e.Decode(&d)
		}
		if err != nil {
			return nil, &failure{incident.ExitNothing, fmt.Errorf("read %s: %w", dir, err), "clawback verify " + filepath.Base(dir) + " says what is wrong with it"}
		}
		v.id, v.now = d.Incident, time.Now
		if d.Mode == incident.Drill && d.Speed > 0 {
			v.rec.speed, v.now = d.Speed, v.rec.now
		}
		return v, nil
	}
	return nil, &failure{incident.ExitNothing, fmt.Errorf("%s: the record is empty", dir), "it may just begin: try again"}
}

// principal makes a name one that a signed message can carry.
func principal(name string) string {
	if signers.CheckName(name) == nil {
		return name
	}
	plain := strings.Map(func(r rune) rune {
		if signers.CheckName(string(r)) != nil {
			return '-'
		}
		return r
	}, name)
	return plain[:min(len(plain), signers.MaxName)]
}

func (v *visit) options() tui.Options {
	return tui.Options{
		Draft:   v.draft,
		Journal: v.rec, Now: v.now, By: v.by, Dir: v.dir, Suspend: standStill,
		Getenv: func(name string) string { return v.app.env[name] }, Instead: "clawback watch " + v.id + " --json", Theme: v.app.config.Theme, Lines: v.app.linesOnly(),
	}
}

// draft is the report as it would read now. Who leaves does not wait for it.
func (v *visit) draft(ctx context.Context) (string, error) {
	return report.Draft(func() iter.Seq2[journal.Entry, error] {
		return func(yield func(journal.Entry, error) bool) {
			for e, err := range journal.Read(v.dir) {
				if gone := context.Cause(ctx); gone != nil {
					e, err = journal.Entry{}, gone
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	})
}

// submit signs a command and puts it into the incident's inbox. That it was taken, only the record says.
func (v *visit) submit(_ context.Context, c engine.Command) error {
	m, err := inbox.Of(c, v.by)
	if err != nil {
		return err
	}
	dropped, err := inbox.Drop(v.dir, m, v.key)
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.sent[dropped.File] = true
	}
	return err
}

// ours reports whether a message came from here.
func (v *visit) ours(file string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sent[file]
}

func (v *visit) say(state string) error {
	return v.submit(context.Background(), engine.Command{Terminal: &incident.Terminal{State: state, By: v.by}})
}

// show runs the console until the person leaves or their terminal is gone, and calls left when the
// response goes on without them.
func (v *visit) show(ctx context.Context, o tui.Options, left func()) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// It waits nearly all the time. Without a second processor none is woken at each tick for nothing,
	// which is a third of what a console costs that shows nothing new.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	err := tui.Run(ctx, o)
	if ctx.Err() != nil || errors.Is(err, tui.ErrTerminal) {
		err = nil // it was told to leave, and did
	}
	held, lockErr := journal.Held(v.dir)
	s, readErr := incident.FoldAll(journal.Read(v.dir))
	switch {
	case err != nil:
		return &failure{incident.ExitNothing, err, "the response is not touched by this"}
	case s.Exit != nil:
		return v.ended(s)
	case lockErr == nil && !held:
		return v.died(readErr)
	}
	left()
	fmt.Fprintf(v.app.err, "%s goes on without you. clawback attach %s takes it back.\n", v.id, v.id)
	return nil
}

// ended ends a visit as the response ended.
func (v *visit) ended(s incident.State) error {
	place := ""
	if s.Report != nil {
		place = ". Report: " + s.Report.Markdown
	}
	fmt.Fprintf(v.app.err, "%s %s: exit %d%s\n", s.Declared.Mode, v.id, *s.Exit, incident.Safe(place))
	if *s.Exit != 0 {
		return exitCode(*s.Exit)
	}
	return nil
}

// died ends a visit to a response whose process is gone.
func (v *visit) died(why error) error {
	err := fmt.Errorf("nobody runs %s any more, and it has not ended", v.id)
	if why != nil && !errors.Is(why, journal.ErrTorn) {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return &failure{incident.ExitPartial, err, "clawback resume " + v.id}
}

// pacedRecord reads a record, and tells the time by which a drill runs, which may be faster than
// that of the wall: as far as the newest entry shows.
type pacedRecord struct {
	cursor *journal.Cursor
	speed  float64

	mu         sync.Mutex
	last, seen time.Time // of the newest entry, and when it was read
}

// Next returns the next entry.
func (p *pacedRecord) Next(ctx context.Context) (journal.Entry, error) {
	e, err := p.cursor.Next(ctx)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.last, p.seen = e.Time, time.Now()
	}
	return e, err
}

func (p *pacedRecord) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Add(time.Duration(float64(time.Since(p.seen)) * p.speed))
}
