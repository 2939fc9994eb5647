package drill

import (
	"context"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// How long a person takes to read a question, and to revoke one credential by hand.
const (
	reading = 2 * time.Second
	byHand  = 20 * time.Second
)

// Person does what a responder does in a drill that runs by itself: answers after reading, and
// the manual revocations one after the other.
type Person struct {
	World  *World
	Engine *engine.Engine
}

// Decide answers with what the scenario is about.
func (p *Person) Decide(ctx context.Context, q incident.Question) (incident.Answer, error) {
	if err := p.World.clock.Sleep(ctx, reading); err != nil {
		return incident.Answer{}, err
	}
	a := incident.Answer{Choice: incident.Yes, By: "the simulated person"}
	switch q.Kind {
	case incident.Typed:
		a.Text = q.Type
	case incident.Choice:
		a.Choice = q.Options[0].ID
	case incident.Guide, incident.Written:
		a.Text = "done in the drill"
	}
	return a, nil
}

// Work says of each manual revocation that it is done, one after the other, until the record is
// closed or ctx is done.
func (p *Person) Work(ctx context.Context, record *journal.Cursor) {
	todo := make(chan credential.Fingerprint, len(p.World.Held)+len(p.World.Truth.More))
	var hands sync.WaitGroup
	defer hands.Wait()
	defer close(todo)
	hands.Go(func() {
		for f := range todo {
			if p.World.clock.Sleep(ctx, byHand) == nil {
				_ = p.Engine.Submit(ctx, engine.Command{Credential: &incident.Command{
					Kind: incident.ByHand, Credential: f, By: "the simulated person",
				}}) // refused when it was found dead by itself in the meantime
			}
		}
	})
	each(ctx, record, incident.TypeLife, func(l incident.Life) {
		if l.Life != credential.Manual {
			return
		}
		select {
		case todo <- l.Fingerprint:
		default: // more than the agent holds: it was asked for before
		}
	})
}

// Obey lets the world follow what a responder says that they did by hand: in a drill, saying it is
// doing it. It returns when the record is closed or ctx is done.
func (w *World) Obey(ctx context.Context, record *journal.Cursor, key credential.FingerprintKey) {
	held := make(map[credential.Fingerprint]credential.Credential)
	for _, c := range w.Held {
		held[key.Identify(c).Fingerprint] = c
	}
	each(ctx, record, incident.TypeCommand, func(c incident.Command) {
		if of, ok := held[c.Credential]; ok && c.Kind == incident.ByHand {
			w.Fakes[of.Provider].RevokeByHand(of)
		}
	})
}

// each calls do with the data of every entry of a type.
func each[T any](ctx context.Context, record *journal.Cursor, typ string, do func(T)) {
	for {
		e, err := record.Next(ctx)
		if err != nil {
			return // the record is closed, or the drill over
		}
		var v T
		if e.Type == typ && e.Decode(&v) == nil {
			do(v)
		}
	}
}
