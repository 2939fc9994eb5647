package actions

import (
	"context"
	"errors"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
)

// cutOffTimeout is how long a host has to be isolated, and for whether that holds to be tried.
const cutOffTimeout = 2 * time.Minute

// alone records what is done without a playbook: there is nobody to ask.
type alone struct{ notesOf }

func (alone) Ask(context.Context, incident.Question) (incident.Answer, error) {
	return incident.Answer{}, engine.ErrUnanswered
}

// CutOff isolates the host of an incident, or the agent on it, beside what the response did. The intent
// is durable before the host is asked, and what came of it is recorded whatever happens. Its connection
// is closed.
func (r *Response) CutOff(ctx context.Context, j *journal.Journal, only bool, by, why string) (incident.State, error) {
	r.Actions()
	defer r.vault.close()
	always := context.WithoutCancel(ctx)
	r.Before.Resumed.For = incident.ToIsolate
	if err := record(always, j, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, err
	}
	r.warnBefore(notesOf{j})
	step, intent := playbooks.Step{Uses: "host.isolate"}, incident.CutOff{Only: only, By: by, Why: why}
	if only {
		step.With = map[string]any{"only": "agent"}
	} else {
		for _, k := range r.Keep {
			intent.Keep = append(intent.Keep, k.String())
		}
	}
	if err := record(always, j, incident.TypeCutOff, intent); err != nil {
		return r.Before.State, err
	}
	asking, cancel := engine.WithDeadline(always, r.Clock, cutOffTimeout)
	defer cancel()
	failed := r.isolate(asking, step, alone{notesOf{j}})
	if failed != nil {
		notesOf{j}.Note(incident.TypeWarning, incident.Warning{Text: failed.Error(), Hint: hintOf(failed)})
	}
	r.leave(j)
	state, err := r.conclude(always, j)
	return state, errors.Join(failed, err)
}

func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}
