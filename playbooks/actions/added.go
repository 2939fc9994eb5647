package actions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// Why a credential cannot be added.
var (
	ErrNoSecret = errors.New("there is no value to add")
	ErrNoKind   = errors.New("there is no such kind of credential")
	ErrOnBoard  = errors.New("it is on the board already")
	ErrQuoted   = errors.New("the note quotes the value: leave it out, the record is for others to read")
	ErrEnding   = errors.New("the response is ending: nothing is revoked any more")
)

// late is what takes credentials beside the search: those that a person adds, and those that somebody
// wants tried again when the sweep is over. Guarded by Response.mu.
type late struct {
	ctx      context.Context // of the run; nil before it
	rec      notesOf
	deadline time.Duration  // of the step that revokes: a later sweep has as long
	running  sync.WaitGroup // additions, and sweeps after the first
	ending   bool           // nothing begins any more

	undoing map[credential.Fingerprint]bool // its revocation is being taken back

	known map[credential.Fingerprint]credential.Credential // what was handed to a sweep
	lives map[credential.Fingerprint]credential.Life       // the newest of each

	// For what is proved after its sweep; not guarded by Response.mu, which is held when a sweep asks.
	revoked   sync.Map // credential.Fingerprint: a person revoked it
	undone    sync.Map // credential.Fingerprint: its revocation was taken back
	seenAlive sync.Map // credential.Fingerprint: a look found that it works
}

// Add implements engine.Adder: the credential goes the way of those that the search finds.
func (v revocation) Add(_ context.Context, a incident.Addition, record func(incident.Command) error) error {
	r := v.r
	c, err := r.admit(a)
	if err != nil {
		return err
	}
	defer r.late.running.Done()
	text := c.Kind + " " + c.Masked
	if a.Text != "" {
		text += ", " + a.Text
	}
	err = record(incident.Command{Kind: incident.Add, Credential: c.Fingerprint, Text: text, By: a.By})
	if err != nil && !errors.Is(err, journal.ErrNotDurable) {
		return err
	}
	r.take([]discover.Found{addition(a)}, r.late.rec)
	return err
}

// admit checks an addition, which from here on keeps the response from ending.
func (r *Response) admit(a incident.Addition) (credential.Credential, error) {
	_, known := credential.Lookup(a.Kind)
	switch {
	case a.Secret.Empty():
		return credential.Credential{}, ErrNoSecret
	case !known || a.Provider == "":
		return credential.Credential{}, ErrNoKind
	}
	c := Credential(r.Key, addition(a))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.overLocked():
		return c, ErrEnding
	case r.seen[c.Fingerprint] || r.before(c.Fingerprint) != nil:
		return c, fmt.Errorf("%w: %s", ErrOnBoard, c)
	}
	for _, part := range a.Secret.Parts() {
		if value := a.Secret.Reveal(part); len(value) >= 8 && strings.Contains(a.Text+a.By, value) {
			return c, ErrQuoted
		}
	}
	r.late.running.Add(1)
	return c, nil
}

// overLocked reports whether nothing can be begun any more.
func (r *Response) overLocked() bool {
	return r.late.ending || r.late.ctx == nil || r.late.ctx.Err() != nil
}

// addition is a find at no place of the host.
func addition(a incident.Addition) discover.Found {
	return discover.Found{Provider: a.Provider, Kind: a.Kind, Secret: a.Secret,
		Source: credential.Source{Path: "what " + a.By + " added", Note: a.Text}}
}

// handOn gives a credential to the sweep that is to come or under way. When that is over, another
// one begins.
func (r *Response) handOn(c credential.Credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late.known[c.Fingerprint] = c
	if n := len(r.sweeps); r.queue.put(c) || n > 0 && r.sweeps[n-1].Add(c) == nil {
		return
	}
	if r.overLocked() {
		r.late.rec.Note(incident.TypeLife, incident.Life{Fingerprint: c.Fingerprint, Life: credential.Failed,
			Reason: incident.ReasonProvider, Error: ErrEnding.Error(), Hint: "run it again" + r.with("")})
		return
	}
	ctx, sweep := r.late.ctx, r.newSweepLocked(r.late.rec)
	r.late.running.Go(func() {
		if r.late.deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = engine.WithDeadline(ctx, r.Clock, r.late.deadline)
			defer cancel()
		}
		only := make(chan credential.Credential, 1)
		only <- c
		close(only)
		sweep.Run(ctx, only)
	})
}

// tell hands a command to the sweep that works on the credential.
func (r *Response) tell(f credential.Fingerprint, c revoke.Command) error {
	r.mu.Lock()
	sweeps := slices.Clone(r.sweeps)
	r.mu.Unlock()
	err := revoke.ErrNotUnderWay
	for _, s := range slices.Backward(sweeps) {
		if err = s.Tell(f, c); err == nil {
			break
		}
	}
	return err
}

// byHand proves the death of a credential that a person revoked when no sweep worked on it any more.
func (r *Response) byHand(f credential.Fingerprint) error {
	c, err := r.takeUp(f)
	if err != nil {
		return err
	}
	r.late.revoked.Store(f, true)
	r.late.rec.Note(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Answer: incident.AnswerByHand})
	r.mu.Lock()
	r.late.lives[f] = credential.Accepted
	r.mu.Unlock()
	r.handOn(c)
	return nil
}

// retry takes up a credential that no sweep works on and that is not dead.
func (r *Response) retry(f credential.Fingerprint) error {
	c, err := r.takeUp(f)
	if err != nil {
		return err
	}
	r.late.revoked.Delete(f)
	r.live(incident.Life{Fingerprint: f, Life: credential.Found}, r.late.rec)
	r.handOn(c)
	return nil
}

// takeUp returns a credential that no sweep works on and about which something can still be done.
func (r *Response) takeUp(f credential.Fingerprint) (credential.Credential, error) {
	r.mu.Lock()
	c, known := r.late.known[f]
	stands := r.late.lives[f]
	over := r.overLocked()
	r.mu.Unlock()
	switch {
	case !known || !stands.Settled() && stands != credential.Manual || stands == credential.Dead:
		return c, revoke.ErrNotUnderWay
	case over:
		return c, ErrEnding
	}
	return c, nil
}

// dropWaiting leaves a credential alone that waits for a sweep to begin.
func (r *Response) dropWaiting(f credential.Fingerprint) bool {
	if !r.queue.remove(f) {
		return false
	}
	r.live(incident.Life{Fingerprint: f, Life: credential.Skipped, Reason: incident.ReasonDecision,
		Error: revoke.ErrDecision.Error()}, r.late.rec)
	return true
}

// live records a change of life.
func (r *Response) live(l incident.Life, rec noter) {
	r.mu.Lock()
	r.late.lives[l.Fingerprint] = l.Life
	r.mu.Unlock()
	rec.Note(incident.TypeLife, l)
}

// beginLate lets credentials be added.
func (r *Response) beginLate(ctx context.Context, e *engine.Engine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late.ctx = ctx
	for _, s := range e.Playbook.Steps() {
		switch {
		case s.Uses == "credentials.revoke":
			r.late.deadline = s.Deadline
		case s.Uses == "evidence.capture" && text(s.With["part"]) == "files":
			r.databases.capture = true
		}
	}
}

// endLate returns when all that was begun has ended. Nothing more is taken.
func (r *Response) endLate() {
	r.mu.Lock()
	r.late.ending = true
	r.mu.Unlock()
	r.late.running.Wait()
}
