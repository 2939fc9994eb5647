package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// Approvals says who asks for approvals, and what is known before the run.
type Approvals struct {
	Requester string               // principal of who asks: nobody approves their own request
	Keys      []string             // fingerprints of all keys of who asks
	Given     []incident.Approved  // beforehand, for the plan file that is carried out
	Broken    *incident.BreakGlass // go ahead without those that are missing, at every step
}

// Inbox hands in what other terminals send.
type Inbox interface {
	// Serve hands messages in with Deliver until ctx is done, and returns once none is under way.
	Serve(ctx context.Context, e *Engine)
}

// approvalDesk is where the steps of a run wait for their approvals.
type approvalDesk struct {
	one     sync.Mutex // one decision at a time: two may not both count as the last, or as two people
	mu      sync.Mutex
	asked   map[string]*pending
	seen    map[[sha256.Size]byte]bool // signed messages that took effect
	trouble error                      // why nothing can be asked
}

// pending is a step that needs approvals.
type pending struct {
	incident.Approval
	leftOut bool
	over    bool          // the step went on, with or without them
	changed chan struct{} // closed and replaced at each change
}

// beginApprovals asks for the approvals of all steps at once, so that people can give them while
// the run is busy elsewhere, and begins to take in what other terminals send. The function that it
// returns ends that.
func (e *Engine) beginApprovals(ctx context.Context) (end func()) {
	needed := slices.ContainsFunc(e.Playbook.Steps(), func(s playbooks.Step) bool { return s.Approvals > 0 })
	if needed || e.Inbox != nil {
		e.desk.trouble = e.askApprovals(ctx)
	}
	if e.Inbox == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := guarded(func() error { e.Inbox.Serve(ctx, e); return nil }); err != nil {
			recorder{e}.Note(incident.TypeWarning, incident.Warning{Text: "nothing more is taken from the inbox: " + err.Error(), Grave: true})
		}
	})
	return func() { cancel(); serving.Wait() }
}

// askApprovals asks for what the record does not show as asked. What it binds to is what the
// record holds.
func (e *Engine) askApprovals(ctx context.Context) error {
	var s incident.State
	seen := make(map[[sha256.Size]byte]bool)
	for entry, err := range e.Journal.Entries(ctx) {
		if err != nil {
			return err
		}
		s = incident.Fold(s, entry)
		if message, ok := incident.SignedMessage(entry); ok {
			seen[sha256.Sum256([]byte(message))] = true
		}
	}
	e.desk.mu.Lock()
	e.desk.seen, e.desk.asked = seen, make(map[string]*pending)
	e.desk.mu.Unlock()
	for _, step := range e.Playbook.Steps() {
		if step.Approvals == 0 || step.When.Choice == "" && !e.holds(step.When) {
			continue
		}
		if err := e.askApproval(s, step); err != nil {
			return err
		}
	}
	for _, a := range e.Approvals.Given {
		if err := durable(e.approve(ctx, a)); err != nil {
			recorder{e}.Note(incident.TypeWarning, incident.Warning{Text: fmt.Sprintf("an approval of step %s by %s does not count: %v", a.Step, a.By, err)})
		}
	}
	return nil
}

func (e *Engine) askApproval(s incident.State, step playbooks.Step) error {
	binds, err := incident.Binds(s.First, s.Plan, step.ID)
	if err != nil {
		return err
	}
	p := &pending{changed: make(chan struct{})}
	p.ApprovalAsked = incident.ApprovalAsked{Step: step.ID, Needs: step.Approvals, Binds: binds, By: e.Approvals.Requester}
	if known := s.Approvals[step.ID]; known != nil && known.Binds == binds {
		p.Approval = *known
	} else {
		recorder{e}.Note(incident.TypeApproval, p.ApprovalAsked)
	}
	e.desk.mu.Lock()
	defer e.desk.mu.Unlock()
	e.desk.asked[step.ID] = p
	return nil
}

// Seen reports whether a signed message took effect before, in this run or in one that the record
// shows.
func (e *Engine) Seen(message string) bool {
	e.desk.mu.Lock()
	defer e.desk.mu.Unlock()
	return e.desk.seen[sha256.Sum256([]byte(message))]
}

// Refuse records that a message was not taken, and why.
func (e *Engine) Refuse(ctx context.Context, r incident.InboxRefused) error {
	return e.Journal.Append(ctx, incident.TypeRefused, r)
}

// permitted waits for the step's approvals, and then asks where its gate wants it: the last word
// before an effect is the responder's.
func (e *Engine) permitted(ctx context.Context, s playbooks.Step, action Action) (bool, error) {
	if s.Approvals > 0 {
		if ok, err := e.approved(ctx, s); !ok || err != nil {
			return false, err
		}
	}
	return e.gate(ctx, s, action)
}

// approved waits until a step is approved or left out, or the glass is broken. Where nobody
// attends it does not wait.
func (e *Engine) approved(ctx context.Context, s playbooks.Step) (bool, error) {
	p := e.pending(s.ID)
	if p == nil {
		return false, fmt.Errorf("its approvals could not be asked for: %w", e.desk.trouble)
	}
	if b := e.Approvals.Broken; b != nil {
		err := durable(e.breakGlass(ctx, incident.BreakGlass{Step: s.ID, By: b.By, Reason: b.Reason, Signed: b.Signed}))
		if err != nil && !errors.Is(err, errNotMissing) {
			return false, err
		}
	}
	for {
		e.desk.mu.Lock()
		missing, changed := p.Missing(), p.changed
		through := missing == 0 || p.Broken != nil
		leftOut := p.leftOut
		p.over = p.over || through && !leftOut
		e.desk.mu.Unlock()
		switch {
		case leftOut:
			return false, nil
		case through:
			return true, nil
		case !e.Playbook.Attended:
			return false, &MissingError{Step: s.ID, Missing: missing}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

func (e *Engine) pending(step string) *pending {
	e.desk.mu.Lock()
	defer e.desk.mu.Unlock()
	return e.desk.asked[step]
}

// MissingError means that a step was not approved, and nobody attends who could wait for it.
type MissingError struct {
	Step    string
	Missing int // people
}

func (m *MissingError) Error() string {
	return fmt.Sprintf("step %s lacks the approval of %d people, and nobody attends to this response", m.Step, m.Missing)
}

// Hint says how to go on.
func (m *MissingError) Hint() string {
	return "have the plan approved beforehand, or go ahead alone with --break-glass REASON"
}

// errNotMissing means that there is nothing to go ahead without.
var errNotMissing = errors.New("no approval of that step is missing")

// approve counts one person's approval.
func (e *Engine) approve(ctx context.Context, a incident.Approved) error {
	e.desk.one.Lock()
	defer e.desk.one.Unlock()
	p := e.pending(a.Step)
	if p == nil {
		return fmt.Errorf("%w: %s", ErrNotAsked, a.Step)
	}
	if err := e.mayApprove(p, a); err != nil {
		return err
	}
	e.desk.mu.Lock()
	a.Late = p.Broken != nil
	e.desk.mu.Unlock()
	err := e.Journal.Append(ctx, incident.TypeApproved, a)
	if durable(err) == nil {
		e.change(p, func() { p.Given = append(p.Given, a) })
	}
	return err
}

// mayApprove refuses an approval of something else, and of somebody who may not give it.
func (e *Engine) mayApprove(p *pending, a incident.Approved) error {
	binds := p.Binds
	if a.Plan != "" {
		plan, err := incident.Binds(a.Plan, Plan(e.Playbook), a.Step)
		if err != nil {
			return err
		}
		binds = plan
	}
	switch {
	case a.Binds != binds:
		return fmt.Errorf("it approves something else than step %s of this incident as planned", a.Step)
	case strings.EqualFold(a.By, e.Approvals.Requester), strings.EqualFold(a.By, p.By): // who began it, and who resumed it
		return fmt.Errorf("%s asked for it, and nobody approves their own request", a.By)
	case slices.Contains(e.Approvals.Keys, a.Key):
		return fmt.Errorf("the key %s is one of %s, who asked for it: nobody approves their own request", a.Key, e.Approvals.Requester)
	}
	e.desk.mu.Lock()
	defer e.desk.mu.Unlock()
	return p.Counts(a)
}

// aboutStep takes a command about a step that waits for its approvals.
func (e *Engine) aboutStep(ctx context.Context, c incident.Command) error {
	switch c.Kind {
	case incident.Break:
		return e.breakGlass(ctx, incident.BreakGlass{Step: c.Step, By: c.By, Reason: c.Text, Signed: c.Signed})
	case incident.LeaveOut:
		return e.leaveOut(ctx, c)
	}
	return fmt.Errorf("%w: %.40q", ErrNoTaker, c.Kind)
}

// breakGlass lets a step go ahead without the approvals that are missing.
func (e *Engine) breakGlass(ctx context.Context, b incident.BreakGlass) error {
	e.desk.one.Lock()
	defer e.desk.one.Unlock()
	p := e.pending(b.Step)
	if p == nil {
		return fmt.Errorf("%w: %s", ErrNotAsked, b.Step)
	}
	e.desk.mu.Lock()
	idle := p.Missing() == 0 || p.Broken != nil || p.leftOut
	e.desk.mu.Unlock()
	switch {
	case idle:
		return errNotMissing
	case strings.TrimSpace(b.Reason) == "":
		return errors.New("to go ahead without approvals takes a reason")
	}
	b.Reason = incident.Cut(b.Reason, maxText)
	err := e.Journal.Append(ctx, incident.TypeBreakGlass, b)
	if durable(err) == nil {
		e.change(p, func() { p.Broken = &b })
	}
	return err
}

// leaveOut skips a step that waits.
func (e *Engine) leaveOut(ctx context.Context, c incident.Command) error {
	e.desk.one.Lock()
	defer e.desk.one.Unlock()
	p := e.pending(c.Step)
	if p == nil {
		return fmt.Errorf("%w: %s", ErrNotAsked, c.Step)
	}
	e.desk.mu.Lock()
	over := p.over || p.leftOut
	e.desk.mu.Unlock()
	if over {
		return fmt.Errorf("step %s waits for no approval any more", c.Step)
	}
	err := e.Journal.Append(ctx, incident.TypeCommand, c)
	if durable(err) == nil {
		e.change(p, func() { p.leftOut = true })
	}
	return err
}

// change changes how a step's approval stands, and tells who waits for it.
func (e *Engine) change(p *pending, f func()) {
	e.desk.mu.Lock()
	defer e.desk.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// remember makes a signed message one that took effect.
func (e *Engine) remember(message string) {
	if message == "" {
		return
	}
	e.desk.mu.Lock()
	defer e.desk.mu.Unlock()
	if e.desk.seen == nil {
		e.desk.seen = make(map[[sha256.Size]byte]bool)
	}
	e.desk.seen[sha256.Sum256([]byte(message))] = true
}

// message is what the sender of a command signed, where it was signed.
func (c Command) message() string {
	var signed *incident.Signed
	switch {
	case c.Approval != nil:
		return c.Approval.Message
	case c.Answer != nil:
		signed = c.Answer.Signed
	case c.Note != nil:
		signed = c.Note.Signed
	case c.Terminal != nil:
		signed = c.Terminal.Signed
	default:
		for _, about := range []*incident.Command{c.Credential, c.Step, c.Interrupt} {
			if about != nil {
				signed = about.Signed
			}
		}
	}
	if signed == nil {
		return ""
	}
	return signed.Message
}
