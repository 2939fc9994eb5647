package actions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// ofGateway reports whether a credential is accepted by the agent's own gateway alone: no provider
// revokes it, and it dies with the gateway. A place says so, and a value that looks like another
// provider's says otherwise: whoever owns the host writes both.
func ofGateway(c credential.Credential) bool {
	if !gatewayKind(c.Kind) {
		return false
	}
	_, foreign := credential.Recognize(c.Secret.Reveal("value"))
	return !c.Secret.Empty() && !foreign
}

// discover searches the host, and hands each credential to the sweep as soon as it is found.
func (r *Response) discover(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	defer r.searchOver(rec)
	r.testAuthorities()
	var harmless harmless
	finds := newIntake(func(batch []discover.Found) { r.take(harmless.sort(batch), rec) })
	defer finds.end() // also when the search panics
	summary, err := r.Search(ctx, finds.put)
	finds.end()
	out := incident.Searched{Files: summary.Files, Bytes: summary.Bytes, Skipped: boundedCounts(summary.Skipped), Harmless: harmless.list}
	for _, p := range summary.Problems {
		out.Problems = append(out.Problems, p.Path+": "+p.Reason)
	}
	for _, p := range summary.Apart {
		out.Apart = append(out.Apart, p.Path+": "+p.Reason)
	}
	later := r.deferDatabases(summary, &out)
	open := len(out.Problems) - later
	out.Problems, out.Apart = bounded(out.Problems), bounded(out.Apart)
	if err == nil || summary.Files > 0 { // of a search that was cut off nothing is known but what it found
		r.haveSearched(out, rec)
	}
	r.readDatabases(ctx, rec)
	if err != nil {
		return hinted{err: fmt.Errorf("search %s for credentials: %w", r.Host.Name(), err),
			hint: "what was found is being revoked, the rest is not known; " + r.next(err, "search the sealed evidence with clawback discover --root")}
	}
	if n := open; n > 0 {
		// A place that nobody could read may hold a credential that nobody will revoke.
		return hinted{err: fmt.Errorf("%s could not be searched, the first is %s", plural(n, "place", "places"), out.Problems[0]),
			hint: "look into each by hand for credentials: what is in them is neither known nor revoked"}
	}
	return nil
}

// Search searches the host for what the agent held, and for what others keep where the host is lost.
func (r *Response) Search(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	if r.HostLost {
		return r.Host.DiscoverAll(ctx, found)
	}
	return r.Host.Discover(ctx, found)
}

// haveSearched records how far the host was searched.
func (r *Response) haveSearched(out incident.Searched, rec noter) {
	r.mu.Lock()
	r.extent = &out
	r.mu.Unlock()
	rec.Note(incident.TypeSearched, out)
}

// maxHarmless bounds what is on record of finds that there is nothing to revoke of.
const maxHarmless = 100

// harmless sets aside what there is nothing to revoke of.
type harmless struct{ list []incident.Harmless }

// sort returns the rest.
func (h *harmless) sort(batch []discover.Found) []discover.Found {
	return slices.DeleteFunc(batch, func(f discover.Found) bool {
		if !f.Doubt.Harmless() {
			return false
		}
		if len(h.list) < maxHarmless {
			h.list = append(h.list, incident.Harmless{Provider: f.Provider, Kind: f.Kind,
				Masked: credential.Mask(f.Kind, f.Secret, f.Ref), Doubt: string(f.Doubt), Source: f.Source})
		}
		return true
	})
}

// Credential makes a credential of the first place at which it was found.
func Credential(key credential.FingerprintKey, f discover.Found) credential.Credential {
	ref := maps.Clone(f.Ref)
	if ref == nil {
		ref = make(map[string]string)
	}
	if f.Secret.Empty() && ref["id"] == "" {
		ref["id"] = f.Source.String() // an unresolved reference is named by its place
	}
	if f.Endpoint != "" {
		ref[credential.ClaimedEndpoint] = f.Endpoint
	}
	if foreign, ok := credential.Recognize(f.Secret.Reveal("value")); ok && f.Provider == "openclaw" {
		f.Provider, f.Kind = foreign.Provider, foreign.Name // the place may be a lie, the value works elsewhere
	}
	return key.Identify(credential.Credential{
		Provider: f.Provider, Kind: f.Kind, Secret: f.Secret, Ref: ref, Sources: []credential.Source{f.Source},
		Owner: f.Owner, Expires: f.Expires, LastUsed: f.LastUsed,
	})
}

// forgotten reports whether the host has to be searched again: a secret that is not kept at the desk
// died with the run that found it, and so did what it was to read from the evidence.
func (r *Response) forgotten(playbooks.Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.missing()) > 0 || r.unread() || r.HostLost && r.Before != nil && !r.Before.State.Declared.HostLost
}

// take takes in what came at once. Where secrets are kept, those of the new ones are durable before
// anybody can read of the find: what is on record can be revoked and probed by a later run. One
// fsync serves them all, so that a host which floods the desk with finds delays nothing. Then each
// goes to what will be its end.
func (r *Response) take(batch []discover.Found, rec noter) {
	for _, c := range r.note(batch, rec) {
		r.dispatch(c, r.before(c.Fingerprint), rec)
	}
}

// note puts what was found on record, and returns what of it something is to be done about.
func (r *Response) note(batch []discover.Found, rec noter) (due []credential.Credential) {
	all := make([]credential.Credential, len(batch))
	var keep []credential.Credential
	r.mu.Lock()
	for i, f := range batch {
		all[i] = Credential(r.Key, f)
		if print := all[i].Fingerprint; !r.seen[print] && r.before(print) == nil && !f.Secret.Empty() {
			keep = append(keep, all[i])
		}
	}
	r.mu.Unlock()
	if r.keeps() && len(keep) > 0 {
		if err := r.vault.keep(keep...); err != nil {
			rec.Note(incident.TypeWarning, incident.Warning{Text: err.Error(),
				Hint: "should this run die, they have to be found on the host again"})
		}
	}
	for i, f := range batch {
		if r.found(all[i], f, rec) {
			due = append(due, all[i])
		}
	}
	return due
}

// found makes a place into a credential, or into one more source of a known one. It reports whether
// something is to be done about it that nobody has begun.
func (r *Response) found(c credential.Credential, f discover.Found, rec noter) (due bool) {
	r.mu.Lock()
	seen := r.seen[c.Fingerprint]
	r.seen[c.Fingerprint] = true
	r.mu.Unlock()
	was := r.before(c.Fingerprint)
	switch {
	case was != nil && slices.Contains(was.Sources, f.Source):
	case was != nil || seen:
		rec.Note(incident.TypeSource, incident.Source{Fingerprint: c.Fingerprint, Source: f.Source, Doubt: string(f.Doubt)})
	default:
		r.foundFirst(c, f, rec)
	}
	return !seen && (was == nil || !r.Before.settled(was))
}

// foundFirst records a credential that no run has found before.
func (r *Response) foundFirst(c credential.Credential, f discover.Found, rec noter) {
	rec.Note(incident.TypeFound, r.Found(c, f))
	r.inventoried(c, rec)
	if r.Planned != nil && !r.Planned(c) {
		// The agent held it, so it is known to the attacker, and what appears in the middle of a
		// response is the last thing to leave alive. That the plan lacks it has to be seen, though.
		rec.Note(incident.TypeWarning, incident.Warning{
			Text: fmt.Sprintf("%s %s in %s was not in the plan", c.Kind, c.Masked, f.Source),
			Hint: "it is handled like the others; whoever approved the plan should know",
		})
	}
}

// keeps reports whether the desk keeps secrets: never on the machine that is under suspicion.
func (r *Response) keeps() bool { return r.vault != nil && r.Dir != "" && r.Host.Remote() }

// dispatch hands a credential to what will be its end. was is what is on record of it.
func (r *Response) dispatch(c credential.Credential, was *incident.Credential, rec noter) {
	switch {
	case was != nil && r.Before.skip[c.Fingerprint]: // told, and died before it obeyed
		r.live(incident.Life{Fingerprint: c.Fingerprint, Life: credential.Skipped,
			Reason: incident.ReasonDecision, Error: revoke.ErrDecision.Error()}, rec)
	case ofGateway(c) || was != nil && byGateway(was):
		r.withGateway(c, was, rec)
	default:
		r.handOn(c)
	}
}

// withGateway waits for the agent's gateway to be down, with which the credential dies.
func (r *Response) withGateway(c credential.Credential, was *incident.Credential, rec noter) {
	if was == nil || was.Life != credential.Requested {
		rec.Note(incident.TypeLife, incident.Life{Fingerprint: c.Fingerprint, Life: credential.Requested,
			Evidence: "accepted by the agent's own gateway alone: it dies when that is down for good"})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ofAgent = append(r.ofAgent, c)
	if r.down != nil {
		r.buryLocked(rec)
	}
}

// gatewayIsDown closes the account of what the agent's own gateway issued, and of what is found of
// that later.
func (r *Response) gatewayIsDown(rec noter, proof []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = append([]string{}, proof...)
	r.buryLocked(rec)
}

func (r *Response) buryLocked(rec noter) {
	for _, c := range r.ofAgent {
		rec.Note(incident.TypeLife, incident.Life{Fingerprint: c.Fingerprint, Life: credential.Dead,
			Evidence: "the gateway that accepted it is down: " + firstOr(r.down, "no process, refuses to start")})
	}
	r.ofAgent = nil
}

// revocation is the action that revokes all credentials and proves each one dead.
type revocation struct{ r *Response }

// Announce says what is about to be revoked. With a gate the search has ended before.
func (v revocation) Announce(playbooks.Step) ([]string, string) {
	waiting := v.r.queue.waiting()
	count := make(map[string]int)
	var order []string
	var effects []string
	seen := make(map[string]bool)
	for _, c := range waiting {
		if count[c.Provider] == 0 {
			order = append(order, c.Provider)
		}
		count[c.Provider]++
		if p := v.r.Providers[c.Provider]; p != nil {
			if k, ok := p.Info().Kind(c.Kind); ok && k.Effect != "" && !seen[k.Effect] {
				seen[k.Effect] = true
				effects = append(effects, p.Info().Title+": "+k.Effect)
			}
		}
	}
	var lines []string
	for _, name := range order {
		lines = append(lines, fmt.Sprintf("%s: %s", name, plural(count[name], "credential", "credentials")))
	}
	if breaks := v.r.breaks(waiting); breaks != "" {
		lines = append(lines, breaks)
	}
	return append(lines, effects...), fmt.Sprintf("revoke %d", len(waiting))
}

// Repeat implements engine.Repeater: what is not dead is tried again.
func (v revocation) Repeat(playbooks.Step) bool { return v.r.again }

func (v revocation) Run(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	r := v.r
	r.testAuthorities()
	r.mu.Lock()
	sweep := r.newSweepLocked(rec)
	r.mu.Unlock()
	ctx, cancel := r.untilSearched(ctx)
	defer cancel()
	found := make(chan credential.Credential)
	pumped := make(chan struct{})
	go func() { defer close(pumped); r.queue.drain(ctx, found) }()
	sweep.Run(ctx, found)
	<-pumped
	return nil // how each credential ended is on record; the exit code follows from that
}

// lateGrace is how long the last finds of a slow search have after it, once the deadline has passed.
const lateGrace = 20 * time.Second

// untilSearched puts a deadline off until the search has ended: it is for the proofs, and whoever
// owns the host must not keep what is found late from being revoked by making the search slow. The
// search has a deadline of its own.
func (r *Response) untilSearched(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-ctx.Done():
		case <-later.Done():
			return
		}
		if errors.Is(context.Cause(ctx), engine.ErrDeadline) {
			select {
			case <-r.searched:
			default:
				select {
				case <-r.searched:
					_ = r.Clock.Sleep(later, lateGrace)
				case <-later.Done():
				}
			}
		}
		cancel(context.Cause(ctx))
	}()
	return later, func() { cancel(context.Canceled); <-over }
}

// Command hands a responder's command to the sweep.
func (v revocation) Command(ctx context.Context, c incident.Command) error {
	r := v.r
	if c.Kind == incident.ReadInventory {
		return r.readInventory(ctx)
	}
	r.mu.Lock()
	begun, undoing := len(r.sweeps) > 0, r.late.undoing[c.Credential]
	r.mu.Unlock()
	switch {
	case undoing:
		return ErrUndoing
	case c.Kind == incident.TakeBack:
		return r.takeBack(ctx, c)
	case c.Kind == incident.Skip && r.dropWaiting(c.Credential):
		return nil
	case c.Kind == incident.ByHand && begun:
		err := r.tell(c.Credential, revoke.ByHand)
		if errors.Is(err, revoke.ErrNotUnderWay) {
			err = r.byHand(c.Credential)
		}
		return err
	case c.Kind == incident.Skip && begun:
		return r.tell(c.Credential, revoke.Skip)
	case c.Kind == incident.Retry:
		r.testAgain(c.Credential)
		err := r.tell(c.Credential, revoke.Retry)
		if errors.Is(err, revoke.ErrNotUnderWay) {
			err = r.retry(c.Credential)
		}
		if errors.Is(err, revoke.ErrNotUnderWay) && !begun {
			return engine.ErrNoTaker
		}
		return err
	}
	return fmt.Errorf("%w: %q", engine.ErrNoTaker, c.Kind)
}

// newSweepLocked makes a sweep, which gets the commands from now on.
func (r *Response) newSweepLocked(rec intents) *revoke.Sweep {
	s := &revoke.Sweep{
		Providers: r.Providers, Clock: r.Clock, Attended: r.Attended,
		Ledger: ledger{r: r, rec: rec}, Ours: r.ours, Past: r.past,
	}
	r.sweeps = append(r.sweeps, s)
	return s
}

// ours reports whether a credential is one of the authorities that this response uses.
func (r *Response) ours(ctx context.Context, c credential.Credential) bool {
	return r.Authorities != nil && r.Authorities.Holds(ctx, c)
}
