package drill

import (
	"context"
	"errors"
	"io"
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
	Key    credential.FingerprintKey
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
	case incident.Guide:
		a.Text = "done in the drill"
	}
	return a, nil
}

// Work does the manual revocations that the record asks for, until it is closed or ctx is done.
func (p *Person) Work(ctx context.Context, record *journal.Cursor) {
	held := make(map[credential.Fingerprint]credential.Credential)
	for _, c := range p.World.Held {
		held[p.Key.Identify(c).Fingerprint] = c
	}
	todo := make(chan credential.Fingerprint, len(held))
	var hands sync.WaitGroup
	defer hands.Wait()
	hands.Go(func() {
		for f := range todo {
			if p.World.clock.Sleep(ctx, byHand) != nil {
				continue
			}
			c := held[f]
			p.World.Fakes[c.Provider].RevokeByHand(c)
			_ = p.Engine.Submit(ctx, engine.Command{Credential: &incident.Command{
				Kind: incident.ByHand, Credential: f, By: "the simulated person",
			}}) // refused when it was found dead by itself in the meantime
		}
	})
	defer close(todo)
	for {
		e, err := record.Next(ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				_ = p.Engine.Journal.Note(incident.TypeWarning, incident.Warning{Text: "the simulated person cannot read the record: " + err.Error()})
			}
			return
		}
		var life incident.Life
		if e.Type != incident.TypeLife || e.Decode(&life) != nil || life.Life != credential.Manual {
			continue
		}
		if _, ok := held[life.Fingerprint]; ok {
			select {
			case todo <- life.Fingerprint:
			default: // asked for again: it is on the list
			}
		}
	}
}
