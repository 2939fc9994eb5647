package tui

import (
	"fmt"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// briefScreen is the incident on one screen: to read out, or to hand a shift over.
type briefScreen struct{ scroll int }

func (s *briefScreen) title() string { return "Brief" }

func (s *briefScreen) keys(c *console) []binding {
	return append([]binding{backToRun(c), noteKey(c)}, scrollKeys(&s.scroll, 10)...)
}

func (s *briefScreen) next(*console) string { return "esc" }

func (s *briefScreen) view(c *console, w, h int) []line {
	var out []line
	for _, p := range brief(c.rec.State, c.now) {
		out = append(out, labelled(p.label, p.look, p.text, w-2)...)
	}
	return scrolledIn(indented(out), &s.scroll, h)
}

// point is one sentence of a brief.
type point struct {
	label string
	look  token
	text  string
}

// brief says how an incident stands, in what order somebody has to hear it.
func brief(s incident.State, now time.Time) []point {
	var out []point
	add := func(label string, look token, text string) {
		if text != "" {
			out = append(out, point{label, look, text})
		}
	}
	d := s.Declared
	what := strings.ToUpper(d.Mode) + " " + strings.TrimPrefix(d.Incident, "DRILL-") + ": " + first(s.Plan.Title, d.Playbook) + " on " + d.Target
	if !s.DeclaredAt.IsZero() {
		what += fmt.Sprintf(". Declared at %s UTC by %s, %s ago", s.DeclaredAt.UTC().Format("15:04"), d.Responder, spokenTime(now.Sub(s.DeclaredAt)))
	}
	add("What", strong, what+".")
	look, text := briefAgent(s)
	add("The agent", look, text)
	look, text = briefMachine(s)
	add("The machine", look, text)
	look, text = briefCredentials(s)
	add("Credentials", look, text)
	add("Still alive", danger, listed(s, 3, credential.Alive, credential.Failed))
	add("By hand", warn, listed(s, 3, credential.Manual))
	add("Unproved", warn, listed(s, 2, credential.Unverified))
	add("It breaks", warn, briefBreaks(s))
	add("Evidence", plain, briefEvidence(s))
	for _, step := range s.Plan.Phases {
		for _, p := range step.Steps {
			if a, ok := s.Decisions[p.ID]; ok && p.Uses == "person.decide" {
				add("Decided", plain, p.Title+" "+a.Choice+", by "+a.By+".")
			}
		}
	}
	if s.Exit != nil {
		add("Ended", plain, fmt.Sprintf("at %s UTC, exit %d.", s.ClosedAt.UTC().Format("15:04"), *s.Exit))
	}
	var waits []string
	for _, q := range s.Open {
		waits = append(waits, q.Title)
	}
	for _, a := range s.Pending() {
		waits = append(waits, plural(a.Missing(), "approval", "approvals")+" of "+a.Step)
	}
	add("Waits for", accent, few(waits, 3))
	if open := s.OpenMatters(); len(open) > 0 && s.Exit != nil {
		add("Still open", warn, fmt.Sprintf("%d, the first: %s: %s", len(open), open[0].What, first(open[0].Why, open[0].Hint)))
	}
	add("To look on", dim, "clawback watch "+d.Incident)
	return out
}

func briefAgent(s incident.State) (token, string) {
	switch {
	case s.LetGo != nil:
		return warn, "was let go again: what held it was taken back."
	case s.AgentDown():
		return good, "killed, and it stays down."
	case s.Checked != nil && !s.Checked.Down:
		return danger, "was killed, and is NOT down."
	case s.Stopped != nil:
		return warn, "was killed; whether it stays down is not known yet."
	case s.Frozen != nil && s.Frozen.Complete:
		return good, fmt.Sprintf("stands still since %s UTC, %s; it is not killed.", s.FrozenAt.UTC().Format("15:04:05"), plural(s.Frozen.Processes, "process", "processes"))
	case s.Frozen != nil:
		return danger, "is NOT frozen whole: something of it may still act."
	}
	return danger, "is NOT frozen: it may still act."
}

func briefMachine(s incident.State) (token, string) {
	switch {
	case !s.Declared.Remote:
		return plain, "is the desk itself, or a disk; its network is as it was."
	case s.LetGo != nil:
		return warn, "was given back: nothing says that it is still cut off."
	case s.Isolated != nil && s.Tested != nil && s.Tested.After == incident.WasAnswered:
		return danger, "was to be cut off, and still reaches what it must not."
	case s.Isolated != nil && len(s.Isolated.Problems) > 0:
		return danger, "was cut off, not without problems: " + s.Isolated.Problems[0]
	case s.Isolated != nil && s.Isolated.Only:
		return warn, "is on the network; the agent alone is cut off."
	case s.Isolated != nil:
		return good, "is cut off the network, which delays root on it and does not hold it."
	case s.Lost != nil:
		return danger, "is itself compromised, and on the network."
	}
	return warn, "is on the network as it was."
}

func briefCredentials(s incident.State) (token, string) {
	all, dead := len(s.Credentials), s.Count(credential.Dead)
	if all == 0 {
		return plain, "none found yet."
	}
	text := fmt.Sprintf("%d of %d dead", dead, all)
	if dead == all {
		return good, text + ": each was refused by its provider again and again."
	}
	parts := compact(counted(s.Count(underWay...), "under way"), counted(s.Count(credential.Alive, credential.Failed), "alive"),
		counted(s.Count(credential.Manual), "by hand"), counted(s.Count(credential.Unverified), "unproved"), counted(s.Count(credential.Skipped), "left alone"))
	return warn, text + "; " + strings.Join(parts, ", ") + "."
}

// listed names the first few credentials in some lives, and why.
func listed(s incident.State, most int, lives ...credential.Life) string {
	var all []string
	for _, life := range lives {
		for _, c := range s.Credentials {
			if c.Life != life {
				continue
			}
			text := c.Provider + " " + c.Masked
			if why := first(c.Error, c.Link); why != "" {
				text += ": " + strings.TrimPrefix(why, "https://")
			}
			all = append(all, text)
		}
	}
	return few(all, most)
}

func briefBreaks(s incident.State) string {
	var all []string
	for _, c := range s.Credentials {
		if c.Inventory != nil && c.Inventory.Breaks != "" {
			all = append(all, c.Inventory.Breaks)
		}
	}
	return few(all, 4)
}

func briefEvidence(s incident.State) string {
	if len(s.Sealed) == 0 {
		return "none is sealed yet."
	}
	var files int
	var bytes int64
	left := 0
	for _, e := range s.Sealed {
		files, bytes, left = files+e.Files, bytes+e.Bytes, left+len(e.Left)
	}
	text := fmt.Sprintf("%s, %s, sealed at the desk", plural(files, "file", "files"), size(bytes))
	if left > 0 {
		text += fmt.Sprintf("; %d left out", left)
	}
	if s.Custody.Held() {
		text += "; under a legal hold"
	}
	return text + "."
}

// few is the first of a list, and how many more there are.
func few(all []string, most int) string {
	if len(all) > most {
		return strings.Join(all[:most], "; ") + fmt.Sprintf("; and %d more", len(all)-most)
	}
	return strings.Join(all, "; ")
}

// spokenTime is a time as somebody says it.
func spokenTime(d time.Duration) string {
	switch {
	case d < time.Minute:
		return plural(int(d.Seconds()), "second", "seconds")
	case d < 2*time.Hour:
		return plural(int(d.Minutes()), "minute", "minutes")
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}
