package incident

import (
	"cmp"
	"strings"

	"clawback/forensics/journal"
)

// What a response did to a host and a person takes back, after a false alarm.
const (
	Thaw    = "thaw"    // the freeze: the agent goes on where it stood
	Restore = "restore" // all of it: freeze, kept-down services, moved queue, isolation
	Reopen  = "reopen"  // the isolation alone, because it cut the desk off as well
)

// LetGo is the intent to take back what was done to the host.
type LetGo struct {
	What string `json:"what"` // Thaw or Restore
	By   string `json:"by"`
	Why  string `json:"why"`
}

// LetGone is what came of a LetGo, as the host claims it.
type LetGone struct {
	What  string   `json:"what"`
	Proof []string `json:"proof,omitempty"` // of a look afterwards
	Left  []string `json:"left,omitempty"`  // what is still as the response made it, or could not be seen
	Error string   `json:"error,omitempty"`
}

// foldLetGo takes back the proof that the agent stays down, as soon as something may be undone: half
// of it may have been, whatever its outcome says.
func (s *State) foldLetGo(e journal.Entry) error {
	if l, ok := decoded[LetGo](e); ok && l.What == Reopen {
		return nil // the agent is as it was
	}
	return set(e, &s.LetGo)
}

func letGoLine(e journal.Entry) (string, string, bool) {
	if e.Type == TypeLetGo {
		l, ok := decoded[LetGo](e)
		return l.What, l.By + " takes it back: " + l.Why, ok
	}
	l, ok := decoded[LetGone](e)
	word := cmp.Or(map[string]string{Thaw: "thawed", Restore: "restored", Reopen: "reopened"}[l.What], "undone")
	if l.Error != "" || len(l.Left) > 0 {
		word = "NOT " + strings.ToUpper(word)
	}
	text := strings.Join(l.Proof, "; ") + trouble(l.Left)
	if l.Error != "" {
		text = l.Error + "; " + text
	}
	return word, strings.Trim(text, "; "), ok
}
