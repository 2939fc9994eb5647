package actions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/playbooks/platform/broker"
	"clawback/revoke/credential"
	"clawback/snapshots"
)

const (
	// brokerLook is how long a look at a broker may take before the agent is cut off there.
	brokerLook = 15 * time.Second
	// brokerCut is how long a broker has to cut the agent off, or to let it back.
	brokerCut = 45 * time.Second
	// brokerCopy is how long the copy of what waits at a broker may take.
	brokerCopy = 5 * time.Minute
)

// BrokerKind is the kind of an authority on a broker: parts user and password.
const BrokerKind = "broker.account"

// BrokerAuthority is what the authority on a broker is called among Authorities.
func BrokerAuthority(name string) string { return "broker " + name }

// BrokerSeen is how a broker stands, or why that is not known.
type BrokerSeen struct {
	broker.Standing
	Err error
}

// LookAtBrokers looks at all brokers at once, in their order, and changes nothing.
func (r *Response) LookAtBrokers(ctx context.Context) []BrokerSeen {
	seen := make([]BrokerSeen, len(r.Brokers))
	var all sync.WaitGroup
	for i, b := range r.Brokers {
		all.Go(func() {
			ctx, cancel := engine.WithDeadline(ctx, r.Clock, brokerLook)
			defer cancel()
			seen[i].Err = engine.Guarded(func() (err error) {
				seen[i].Standing, err = b.Look(ctx)
				return err
			})
		})
	}
	all.Wait()
	return seen
}

// errHeld means that the desk's access is the attacker's as well.
var errHeld = errors.New("the agent's host held the desk's own access to it: nobody is asked with it")

// holdBrokers cuts the agent off all brokers at once, and copies what waits there. None waits for
// another, and nothing else of the response waits for them.
func (r *Response) holdBrokers(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	if len(r.Brokers) == 0 {
		return engine.Skipped{Reason: "the configuration names no broker"}
	}
	failed := make([]error, len(r.Brokers))
	var all sync.WaitGroup
	for i, b := range r.Brokers {
		all.Go(func() {
			failed[i] = engine.Guarded(func() error { return r.holdBroker(ctx, b, rec) })
		})
	}
	all.Wait()
	failed = slices.DeleteFunc(failed, func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	var hints []string
	for _, err := range failed {
		var h hinted
		if errors.As(err, &h) {
			hints = append(hints, h.hint)
		}
	}
	return hinted{err: errors.Join(failed...), hint: strings.Join(hints, "; ")}
}

// holdBroker cuts the agent off one broker. What waits there is copied even where that failed: then
// it may be the last time that it can be.
func (r *Response) holdBroker(ctx context.Context, b broker.Broker, rec engine.Recorder) error {
	byHand, _ := b.ByHand()
	if err := r.mayAsk(ctx, b); err != nil {
		return hinted{err: fmt.Errorf("cut the agent off %s: %w", b.Name(), err), hint: "at " + b.Where() + ", from another machine and with another account: " + byHand}
	}
	var failed error
	if err := r.cutOffBroker(ctx, b, rec); err != nil {
		failed = hinted{err: fmt.Errorf("cut the agent off %s: %w", b.Name(), err), hint: "at " + b.Where() + ": " + byHand}
	}
	if err := r.copyBroker(ctx, b, rec); err != nil {
		failed = cmp.Or(failed, error(hinted{err: fmt.Errorf("copy what waits at %s: %w", b.Name(), err), hint: "copy it by hand before anything takes it: " + b.Where()}))
	}
	return failed
}

// mayAsk refuses an access that whoever owns the agent's host has, too.
func (r *Response) mayAsk(ctx context.Context, b broker.Broker) error {
	if r.Authorities == nil || r.Authorities.Load[BrokerAuthority(b.Name())] == nil {
		return nil // the broker says so itself
	}
	own, err := r.Authorities.For(BrokerAuthority(b.Name()))(ctx)
	if err != nil {
		return err
	}
	if r.heldByHost(credential.Credential{Provider: BrokerAuthority(b.Name()), Kind: own.Kind, Secret: own.Secret}) {
		return errHeld
	}
	return nil
}

// cutOffBroker cuts the agent off and pauses what waits, and says by a look whether that holds.
func (r *Response) cutOffBroker(ctx context.Context, b broker.Broker, rec engine.Recorder) error {
	out := incident.BrokerDone{Broker: b.Name()}
	looking, enough := engine.WithDeadline(ctx, r.Clock, brokerLook)
	before, unseen := b.Look(looking) // an agent of which nobody could look how it stands is cut off all the same
	enough()
	_, back := b.ByHand()
	err := rec.Intent(ctx, incident.TypeBroker, incident.BrokerIntent{
		Broker: b.Name(), Where: b.Where(), Agent: b.Agent(), Was: before.Was, ByHand: back, Seen: seenAt(before)})
	if err != nil {
		return err
	}
	ctx, cancel := engine.WithDeadline(ctx, r.Clock, brokerCut)
	defer cancel()
	did, err := b.Cut(ctx)
	out.Did, out.Left = did.Did, did.Left
	if unseen == nil || err == nil { // it answers
		did, paused := b.Hold(ctx)
		out.Did, out.Left = append(out.Did, did.Did...), append(out.Left, did.Left...)
		now, unseen := b.Look(ctx)
		if unseen == nil {
			out.Holds, out.Proof = now.Off && len(now.Live) == 0, proofAt(b, now)
		}
		err = errors.Join(err, paused, unseen)
	}
	if err == nil && !out.Holds {
		err = errors.New("a look afterwards shows that it is not cut off")
	}
	if err != nil {
		out.Error = incident.Cut(err.Error(), maxReason)
	}
	out.Did, out.Left = bounded(out.Did), bounded(out.Left)
	rec.Note(incident.TypeBrokerDone, out)
	return err
}

// seenAt is what was there before anything was changed.
func seenAt(s broker.Standing) (seen []string) {
	for _, q := range s.Queues {
		seen = append(seen, queueText(q))
	}
	for _, live := range s.Live {
		seen = append(seen, "connection of the agent's account from "+live)
	}
	return bounded(append(seen, s.Others...))
}

func queueText(q broker.Queue) string {
	if q.Messages < 0 {
		return fmt.Sprintf("%s (%s)", q.Name, q.Kind)
	}
	return fmt.Sprintf("%s (%s): messages: %d", q.Name, q.Kind, q.Messages)
}

func proofAt(b broker.Broker, s broker.Standing) (proof []string) {
	if len(s.Proof) > 0 {
		return s.Proof
	}
	if s.Off {
		proof = append(proof, "account "+b.Agent()+" is refused")
	} else {
		proof = append(proof, "account "+b.Agent()+" can log in")
	}
	return append(proof, fmt.Sprintf("connections of it: %d", len(s.Live)))
}

// ofBroker reports whether a part of the evidence is of a broker of this response.
func (r *Response) ofBroker(part string) bool {
	return slices.ContainsFunc(r.Brokers, func(b broker.Broker) bool { return part == incident.BrokerPart(b.Name()) })
}

// copyBroker seals what waits at a broker, as a part of the evidence of its own.
func (r *Response) copyBroker(ctx context.Context, b broker.Broker, rec engine.Recorder) error {
	return r.copyBeside(ctx, brokerCopy, incident.BrokerPart(b.Name()), b.Where(), rec, b.Preserve)
}

// copyBeside seals what is kept beside the host as a part of the evidence, unless an earlier run did, and
// what came of it within most where that is not all. What had to be left out is an error.
func (r *Response) copyBeside(ctx context.Context, most time.Duration, part, source string, rec engine.Recorder, preserve func(context.Context, snapshots.Sink) (snapshots.Captured, error)) error {
	sealed, path, stands, err := r.standing(part, rec)
	if err == nil && !stands {
		copying, cancel := engine.WithDeadline(ctx, r.Clock, most)
		defer cancel()
		sealed, err = r.seal(copying, part, path, source, nil, preserve)
	}
	if err != nil {
		return err
	}
	if !stands {
		rec.Note(incident.TypeSealed, sealed)
	}
	r.stampSealed(ctx, sealed, r.late.rec)
	if len(sealed.Left) > 0 {
		return fmt.Errorf("%s left out, the first is %s", plural(len(sealed.Left), "thing", "things"), sealed.Left[0])
	}
	return nil
}

// giveBack lets the agent back to every broker that the record says it was cut off. It returns what
// is still as the response made it.
func (r *Response) giveBack(ctx context.Context, j *journal.Journal, by, why string) (proof, left []string) {
	for _, was := range r.Before.State.Brokers {
		if !was.Touched() {
			continue
		}
		undo := cmp.Or(was.ByHand, "give account "+was.Agent+" its access back")
		i := slices.IndexFunc(r.Brokers, func(b broker.Broker) bool {
			return b.Name() == was.Broker && b.Where() == was.Where && b.Agent() == was.Agent
		})
		if i < 0 {
			left = append(left, fmt.Sprintf("the agent is cut off %s (%s), which is not in the configuration any more; by hand: %s", was.Broker, was.Where, undo))
			continue
		}
		now, err := r.letBack(ctx, j, r.Brokers[i], *was, by, why)
		if err != nil {
			left = append(left, fmt.Sprintf("the agent may be cut off %s (%s): %v; by hand: %s", was.Broker, was.Where, err, undo))
			continue
		}
		if len(now.Proof) > 0 { // its account was never taken away from here
			proof = append(proof, "what was paused at "+was.Broker+" goes on; by hand, if account "+was.Agent+" was taken away there: "+undo)
			continue
		}
		proof = append(proof, "account "+was.Agent+" has its access to "+was.Broker+" back")
	}
	return proof, left
}

// letBack takes back what was done at one broker, and returns how it stands then.
func (r *Response) letBack(ctx context.Context, j *journal.Journal, b broker.Broker, was incident.Broker, by, why string) (now broker.Standing, err error) {
	if err := record(ctx, j, incident.TypeBroker, incident.BrokerIntent{
		Broker: b.Name(), Where: b.Where(), Agent: b.Agent(), Was: was.Was, ByHand: was.ByHand, Back: true, By: by, Why: why}); err != nil {
		return now, err
	}
	ctx, cancel := engine.WithDeadline(ctx, r.Clock, brokerCut)
	defer cancel()
	out := incident.BrokerDone{Broker: b.Name(), Back: true}
	did, err := b.Restore(ctx, was.Was)
	out.Did, out.Left = bounded(did.Did), bounded(did.Left)
	if err == nil {
		if now, err = b.Look(ctx); err == nil {
			out.Holds, out.Proof = same(now.Was, was.Was), proofAt(b, now)
		}
	}
	if err == nil && !out.Holds {
		err = errors.New("it does not stand as it stood before")
	}
	if err != nil {
		out.Error = incident.Cut(err.Error(), maxReason)
	}
	notesOf{j}.Note(incident.TypeBrokerDone, out)
	return now, err
}

// same compares two texts of JSON by what they say.
func same(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
