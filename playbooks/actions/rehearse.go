package actions

import (
	"context"
	"errors"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
)

// Rehearse writes what a response would begin with, and does nothing: the plan, what the host
// says, and every credential that is found.
func (r *Response) Rehearse(ctx context.Context, j *journal.Journal, book playbooks.Playbook, declared incident.Declared) (incident.State, error) {
	r.Actions()
	r.vault = nil // nothing is kept of what is only looked at
	rec := onlooker{j}
	rec.Note(incident.TypeDeclared, declared)
	if len(r.Inventory.Items) > 0 {
		rec.Note(incident.TypeInventory, r.Inventory)
	}
	rec.Note(incident.TypePlan, engine.Plan(book))
	err := r.describe(ctx, playbooks.Step{}, rec)
	err = errors.Join(err, r.discover(ctx, playbooks.Step{}, rec))
	state, foldErr := foldAll(ctx, j)
	if err = errors.Join(err, foldErr); err != nil {
		rec.Note(incident.TypeWarning, incident.Warning{Text: err.Error()})
	}
	rec.Note(incident.TypeClosed, incident.Closed{Exit: state.ExitCode()})
	return foldAll(ctx, j)
}

// onlooker records what only looks.
type onlooker struct{ j *journal.Journal }

func (o onlooker) Intent(ctx context.Context, typ string, data any) error {
	return errors.New("a rehearsal changes nothing, and something in it wanted to")
}
func (o onlooker) Note(typ string, data any) { _ = o.j.Note(typ, data) }
func (o onlooker) Ask(context.Context, incident.Question) (incident.Answer, error) {
	return incident.Answer{}, errors.New("a rehearsal asks nobody")
}
