package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
	"clawback/tui"
)

func (a *app) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use: "attach [INCIDENT]", Short: "Take a running response back in a new terminal",
		Long: `attach shows a response that another process runs, the newest one where none is named. What you
answer is signed with the incident's own key and put into its inbox; it counts once the record shows
it. To leave the console leaves the response running. Any number can be attached: the first answer
counts.

It ends with 0 when you left before the response was over, and with its exit code otherwise.`,
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.attach(c.Context(), strings.Join(args, "")) },
	}
}

func (a *app) attach(ctx context.Context, id string) error {
	if !a.onTerminal() {
		return &failure{incident.ExitUsage, errNotTerminal, "without one, clawback watch --json follows the response"}
	}
	dir, err := a.running(id)
	if err != nil {
		return err
	}
	v, err := newVisit(a, dir)
	if err != nil {
		return err
	}
	if v.key, _, err = (signers.Agent{}).Open(ctx, filepath.Join(dir, inbox.AttachKey)); err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("attach to %s: %w", v.id, err), "whoever started it can: it takes the key in its folder"}
	}
	if err := v.say("attached"); err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("attach to %s: %w", v.id, err), "clawback watch " + id + " shows it"}
	}
	options := v.options()
	options.Attached, options.Submit, options.Sent = true, v.submit, v.ours
	options.Interrupt = func() error {
		return v.submit(ctx, engine.Command{Interrupt: &incident.Command{Kind: incident.Interrupt, By: v.by}})
	}
	return v.show(ctx, options, func() { _ = v.say("detached") })
}

// onTerminal reports whether a person sees and types.
func (a *app) onTerminal() bool {
	out, ok := a.out.(*os.File)
	return ok && term.IsTerminal(int(a.in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// running returns the folder of an incident that a process carries out; with "" the newest.
func (a *app) running(id string) (string, error) {
	if id == "" {
		if dir := a.newestRunning(); dir != "" {
			return dir, nil
		}
	}
	dir, err := a.find(id)
	if err != nil {
		return "", err
	}
	held, err := journal.Held(dir)
	switch {
	case err != nil:
		return "", &failure{incident.ExitNothing, err, "look at " + dir}
	case held:
		return dir, nil
	}
	name := incidentName(id, dir)
	if s, _ := incident.FoldAll(journal.Read(dir)); s.Exit != nil {
		return "", &failure{incident.ExitNoInstallation, fmt.Errorf("%s has ended, with exit code %d", name, *s.Exit), "clawback report " + name + " prints where its report is"}
	}
	return "", &failure{incident.ExitNoInstallation, fmt.Errorf("nobody runs %s: its process is gone, and it has not ended", name), "clawback resume " + name}
}

// newestRunning is the folder of the incident that was written to last, of those that a process
// carries out; "" where there is none.
func (a *app) newestRunning() string {
	newest, when := "", time.Time{}
	entries, _ := os.ReadDir(a.stateDir())
	for _, e := range entries {
		dir := filepath.Join(a.stateDir(), e.Name())
		info, err := os.Stat(filepath.Join(dir, journal.FileName))
		if err != nil || !info.ModTime().After(when) {
			continue
		}
		if held, err := journal.Held(dir); err == nil && held {
			newest, when = dir, info.ModTime()
		}
	}
	return newest
}

// incidentName is what a person calls an incident on the command line.
func incidentName(id, dir string) string {
	if id != "" {
		return id
	}
	return filepath.Base(dir)
}

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
		Journal: v.rec, Now: v.now, By: v.by, Dir: v.dir, Suspend: standStill,
		Getenv: func(name string) string { return v.app.env[name] }, Instead: "clawback watch " + v.id + " --json",
	}
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
