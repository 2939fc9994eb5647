package actions

import (
	"context"
	"errors"
	"fmt"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// Interruption is the cause of a context that a signal ended.
type Interruption struct{ Signal string }

func (i Interruption) Error() string {
	if i.Signal == "interrupt" {
		return "interrupted"
	}
	return i.Signal
}

// Carry declares the incident, or takes up its record where an earlier run left it, carries out the
// playbook, writes the report whatever happened, and closes the record. It returns the final state,
// with an error too. The journal stays open for readers.
func (r *Response) Carry(ctx context.Context, e *engine.Engine, declared incident.Declared) (incident.State, error) {
	e.Actions = r.Actions()
	always := context.WithoutCancel(ctx)
	r.late.rec = notesOf{e.Journal}
	if err := r.begin(always, e, declared); err != nil {
		return incident.State{}, err
	}
	defer r.vault.close()
	defer r.wipeKept()
	r.beginLate(ctx, e)
	runErr := e.Run(ctx)
	r.endLate()
	r.endTests()
	r.endStamps()
	if !interrupted(always, runErr, e.Journal) && runErr != nil {
		_ = record(always, e.Journal, incident.TypeWarning, incident.Warning{Text: runErr.Error(), Grave: true})
	}
	r.leave(e.Journal)
	r.rotateUsed(e.Journal)
	if r.Score != nil {
		_ = record(always, e.Journal, incident.TypeAdversary, r.Score())
	}
	return r.conclude(always, e.Journal)
}

// interrupted records the signal that ended a run, if one did.
func interrupted(ctx context.Context, cause error, j *journal.Journal) bool {
	var signal Interruption
	if !errors.As(cause, &signal) {
		return false
	}
	_ = record(ctx, j, incident.TypeInterrupted, incident.Interrupted{Signal: signal.Signal})
	return true
}

// conclude writes the report and closes the record. It returns the final state, with an error too.
func (r *Response) conclude(ctx context.Context, j *journal.Journal) (incident.State, error) {
	state, err := foldAll(ctx, j)
	if err != nil {
		return state, err
	}
	// A step may have written it before; it is written here whatever became of the steps.
	written, err := r.Report(ctx)
	if err != nil {
		_ = record(ctx, j, incident.TypeWarning, incident.Warning{
			Text: "the report could not be written: " + err.Error(), Hint: "make room and run clawback report " + state.Declared.Incident, Grave: true,
		})
	} else if state.Report == nil {
		_ = record(ctx, j, incident.TypeReport, written)
	}
	if state, err = foldAll(ctx, j); err != nil {
		return state, err
	}
	r.sayWhatIsKept(j, state)
	closed := j.Append(ctx, incident.TypeClosed, incident.Closed{Exit: state.ExitCode()})
	if closed != nil && !errors.Is(closed, journal.ErrNotDurable) {
		return state, closed
	}
	var wiped error
	if closed == nil && r.Dir != "" && !onPaper(state) && r.wipeable(state) {
		wiped = r.vault.wipe() // only once the last entry is durable: what the disk lacks has to be proved again
	}
	_, unwritten := r.Report(ctx) // the last word: with how it ended
	if unwritten != nil {
		unwritten = fmt.Errorf("write the report: %w", unwritten)
	}
	state, err = foldAll(ctx, j)
	return state, errors.Join(err, unwritten, wiped)
}

// begin writes the first entry of this run.
func (r *Response) begin(ctx context.Context, e *engine.Engine, declared incident.Declared) error {
	first, data := incident.TypeDeclared, any(declared)
	if r.Before != nil {
		first, data = incident.TypeResumed, r.Before.Resumed
	}
	if err := record(ctx, e.Journal, first, data); err != nil {
		return err
	}
	if r.Before == nil {
		r.holdFromStart(declared, r.late.rec)
	}
	if len(r.Inventory.Items) > 0 {
		r.late.rec.Note(incident.TypeInventory, r.Inventory)
	}
	r.recollect(e)
	if len(r.Given) > 0 {
		r.take(r.Given, notesOf{e.Journal})
		r.searchOver(notesOf{e.Journal})
	}
	return nil
}

func allDead(s incident.State) bool { return s.Count(credential.Dead) == len(s.Credentials) }

// sayWhatIsKept says what a later run could go on with.
func (r *Response) sayWhatIsKept(j *journal.Journal, s incident.State) {
	left := plural(len(s.Credentials)-s.Count(credential.Dead), "credential that is", "credentials that are")
	switch {
	case onPaper(s):
	case r.wipeable(s) || s.Declared.Mode != incident.Real || r.Dir == "" || s.Resumed != nil && s.Resumed[len(s.Resumed)-1].For == incident.ToForget:
	case allDead(s):
		_ = j.Note(incident.TypeWarning, incident.Warning{
			Text: "the secrets stay at the desk, sealed, in keys/" + vaultName + ", until their deaths were checked again a day later",
			Hint: "run clawback recheck " + s.Declared.Incident + " in an hour and in a day: the last check wipes them"})
	case r.keeps():
		_ = j.Note(incident.TypeWarning, incident.Warning{
			Text: "the secrets of " + left + " not proved dead stay at the desk, sealed, in keys/" + vaultName,
			Hint: r.resume() + " goes on with them, and wipes them once every credential is dead; clawback recheck " + s.Declared.Incident + " --forget wipes them before"})
	case !r.Host.Remote():
		_ = j.Note(incident.TypeWarning, incident.Warning{
			Text: "desk and host are one machine, so the secrets of " + left + " not proved dead were kept nowhere",
			Hint: r.resume() + " has to find them there again; what is gone from it by then cannot be probed any more"})
	}
}

// rotateUsed puts every authority that was used on the suspect host on the board: it is known to
// the attacker now.
func (r *Response) rotateUsed(j *journal.Journal) {
	if r.Authorities == nil || !r.Authorities.Suspect {
		return
	}
	for provider, a := range r.Authorities.Used() {
		c := r.Key.Identify(credential.Credential{
			Provider: provider, Kind: a.Kind, Secret: a.Secret, Owner: "the responder",
			Sources: []credential.Source{{Path: a.From, Note: "used as an authority on the suspect host"}},
		})
		if r.seen[c.Fingerprint] || r.before(c.Fingerprint) != nil {
			continue
		}
		_ = j.Note(incident.TypeFound, incident.Found{Credential: c, Manual: true,
			Steps: []string{"Rotate it from another machine: it was used on the suspect host."}})
		_ = j.Note(incident.TypeLife, incident.Life{Fingerprint: c.Fingerprint, Life: credential.Manual, Reason: incident.ReasonRisk,
			Error: "an authority was used on the suspect host", Hint: "rotate it from another machine"})
	}
}

func record(ctx context.Context, j *journal.Journal, typ string, data any) error {
	err := j.Append(ctx, typ, data)
	if errors.Is(err, journal.ErrNotDurable) {
		return nil // the journal shouts; the response goes on
	}
	return err
}

// foldAll folds what the record holds so far.
func foldAll(ctx context.Context, j *journal.Journal) (incident.State, error) {
	return incident.FoldAll(j.Entries(ctx))
}

// Validate parses a playbook against the actions of this program.
func Validate(file string, src []byte) (playbooks.Playbook, error) {
	return playbooks.Parse(file, src, Names())
}
