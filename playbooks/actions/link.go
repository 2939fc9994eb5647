package actions

import (
	"errors"
	"fmt"
	"path/filepath"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/host"
)

// next is what a responder does after err: what a lost link leaves to do, or else otherwise.
func (r *Response) next(err error, otherwise string) string {
	var lost *host.LinkError
	if !errors.As(err, &lost) {
		return otherwise
	}
	r.mu.Lock()
	frozen := r.frozen != nil && r.frozen.Complete()
	r.mu.Unlock()
	state := "the agent may still act"
	if frozen {
		state = "the agent stays frozen until then"
	}
	return fmt.Sprintf("run it again as soon as %s can be reached; %s: %s", r.Host.Name(), state, r.resume())
}

// also is what a responder does by hand at once after err, and then, where the link was lost, from here.
func (r *Response) also(err error, byHand string) string {
	if again := r.next(err, ""); again != "" {
		return byHand + "; " + again
	}
	return byHand
}

// resume is the command that goes on with this incident.
func (r *Response) resume() string {
	if r.Dir == "" {
		return "clawback resume"
	}
	return "clawback resume " + filepath.Base(r.Dir)
}

// leave ends the connection to the host and removes what the desk put there, while the record can
// still say what may be left.
func (r *Response) leave(j *journal.Journal) {
	if err := r.Host.Close(); err != nil {
		_ = j.Note(incident.TypeWarning, incident.Warning{Text: err.Error(),
			Hint: "it holds clawback's program and no secret, and is gone after a restart"})
	}
}

// with is the end of a hint: the command by which a real response is run again.
func (r *Response) with(options string) string {
	if r.Dir == "" || r.Score != nil { // a drill's world dies with it
		return ""
	}
	return ": " + r.resume() + options
}
