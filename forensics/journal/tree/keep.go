package tree

import (
	"context"
	"errors"
	"fmt"
	"io"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// mostUnsealed bounds how many lines, and with them how much memory, wait for a checkpoint.
const mostUnsealed = 4096

// Source gives the entries of a record from the first on, and io.EOF behind the last. It gives
// only what is on disk: the tree must never be ahead of its lines.
type Source interface {
	Next(ctx context.Context) (journal.Entry, error)
}

// Keeper seals a record as it grows: with its declaration, so that every record has a checkpoint,
// with each phase that begins or is through, when the incident is closed or taken up again, every
// 4,096 entries, and at the end.
type Keeper struct {
	Tree   *Tree
	Sealed func(Checkpoint) // gets each new checkpoint, unless nil
	Failed func(error)      // is told that sealing failed, unless nil; it is tried again at the next occasion
}

// Keep reads entries to their end and returns why the last of them are not sealed, if they are not.
// It runs beside the response, which it never holds up.
func (k *Keeper) Keep(ctx context.Context, entries Source) error {
	var p phases
	for {
		e, err := entries.Next(ctx)
		if errors.Is(err, io.EOF) {
			return k.seal()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("seal the record: %w", err), k.seal())
		}
		if err := k.Tree.Add(e.Line()); err != nil {
			return fmt.Errorf("seal the record: %w", err)
		}
		if p.turn(e) || k.Tree.Size() >= k.Tree.Sealed().Size+mostUnsealed {
			if err := k.seal(); err != nil && k.Failed != nil {
				k.Failed(err)
			}
		}
	}
}

func (k *Keeper) seal() error {
	before := k.Tree.Sealed().Size
	c, err := k.Tree.Checkpoint()
	if err == nil && c.Size > before && k.Sealed != nil {
		k.Sealed(c)
	}
	return err
}

// phases follows a response as far as it takes to see its phases change.
type phases struct {
	of    map[string]string          // phase by step
	open  map[string]map[string]bool // by phase: the steps without an outcome
	begun map[string]bool
}

// turn reports whether a phase begins or is through with e, or the incident is declared, closed or resumed.
// Steps of several phases may run at the same time.
func (p *phases) turn(e journal.Entry) bool {
	switch e.Type {
	case incident.TypeDeclared, incident.TypeClosed, incident.TypeResumed:
		return true
	case incident.TypePlan:
		p.plan(e)
	case incident.TypeStepIntent:
		var i incident.StepIntent
		phase, known := "", e.Decode(&i) == nil
		if known {
			phase, known = p.of[i.Step]
		}
		if !known {
			return false
		}
		begins := !p.begun[phase]
		p.begun[phase], p.open[phase][i.Step] = true, true
		return begins
	case incident.TypeStepOutcome:
		var o incident.StepOutcome
		if e.Decode(&o) != nil {
			return false
		}
		phase := p.of[o.Step]
		was := len(p.open[phase])
		delete(p.open[phase], o.Step)
		return was > 0 && len(p.open[phase]) == 0
	}
	return false
}

func (p *phases) plan(e journal.Entry) {
	var plan incident.Plan
	if e.Decode(&plan) != nil {
		return // the end is sealed all the same
	}
	p.of, p.open, p.begun = make(map[string]string), make(map[string]map[string]bool), make(map[string]bool)
	for _, phase := range plan.Phases {
		p.open[phase.ID] = make(map[string]bool)
		for _, step := range phase.Steps {
			p.of[step.ID], p.open[phase.ID][step.ID] = phase.ID, true
		}
	}
}
