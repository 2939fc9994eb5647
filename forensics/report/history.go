package report

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// history is what a report takes from the entries themselves, beyond the state that they add up to.
type history struct {
	state    incident.State // up to the entry that was read last
	last     string
	err      error
	of       map[credential.Fingerprint]*trail
	asked    map[string]incident.Question
	answers  []Answer
	commands []Command
	notes    []Note
	approved map[string][]Approver // by step
	broken   map[string]*Broken
	losses   []Note
	claims   []Claim
	timeline timeline
}

// Note is what a person put on record, or the record about itself.
type Note struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
	By   string    `json:"by,omitempty"`
	Key  string    `json:"key,omitempty"` // with which it was signed at another terminal
}

// Command is what a responder asked for in the middle of the response.
type Command struct {
	Time time.Time `json:"time"`
	incident.Command
	Name string `json:"name,omitempty"` // of the credential or the step
}

// Answer is a question that the responder answered.
type Answer struct {
	Time        time.Time `json:"time"`
	Step        string    `json:"step"`
	Kind        string    `json:"kind"`
	Question    string    `json:"question"`
	Choice      string    `json:"choice"`
	ChoiceTitle string    `json:"choice_title,omitempty"`
	Text        string    `json:"text,omitempty"`
	By          string    `json:"by"`
	Key         string    `json:"key,omitempty"` // with which it was signed at another terminal
}

// Claim is something that the host said of itself.
type Claim struct {
	Time     time.Time `json:"time"`
	Entry    uint64    `json:"entry"`
	Kind     string    `json:"kind"` // the entry's type
	Says     words     `json:"says"`
	Basis    []string  `json:"basis"` // in the host's own words
	Problems []string  `json:"problems"`
}

// readHistory reads the first n entries.
func readHistory(entries iter.Seq2[journal.Entry, error], n uint64) *history {
	h := &history{
		of: make(map[credential.Fingerprint]*trail), asked: make(map[string]incident.Question),
		approved: make(map[string][]Approver), broken: make(map[string]*Broken),
	}
	if n == 0 {
		return h
	}
	for e, err := range entries {
		if err != nil {
			h.err = err
			break
		}
		if e.Seq > n {
			break
		}
		h.state = incident.Fold(h.state, e)
		h.last = e.Hash()
		h.add(e)
		if e.Seq == n {
			break
		}
	}
	return h
}

// problem says what of n entries could not be read.
func (h *history) problem(n uint64) string {
	read := h.state.Entries
	switch {
	case h.err != nil:
		return fmt.Sprintf("it could not be read beyond entry %d: %v", read, h.err)
	case read < n:
		return fmt.Sprintf("it ends at entry %d, where there were %d before", read, n)
	}
	return ""
}

func (h *history) add(e journal.Entry) {
	h.timeline.add(h.state, e)
	switch e.Type {
	case incident.TypeAsked:
		if q, ok := read[incident.Question](e); ok {
			h.asked[q.ID] = q
		}
	case incident.TypeAnswered:
		if a, ok := read[incident.Answer](e); ok {
			h.answers = append(h.answers, answered(e.Time, h.asked[a.Question], a))
		}
	case incident.TypeCommand:
		if c, ok := read[incident.Command](e); ok {
			out := Command{Time: e.Time, Command: c}
			if known := h.state.Credential(c.Credential); known != nil {
				out.Name = known.String()
			} else if step := h.state.Steps[c.Step]; step != nil {
				out.Name = step.Title
			}
			h.commands = append(h.commands, out)
		}
	case incident.TypeNote:
		if n, ok := read[incident.Note](e); ok {
			h.notes = append(h.notes, Note{e.Time, n.Text, n.By, keyOf(n.Signed)})
		}
	case incident.TypeApproved, incident.TypeBreakGlass:
		h.approval(e)
	case journal.TypeTrouble:
		t, _ := read[journal.Trouble](e)
		h.losses = append(h.losses, Note{Time: e.Time, Text: t.Error})
	case incident.TypeBaseline, incident.TypeRevoke, incident.TypeReceipt, incident.TypeProbe:
		h.follow(e)
	default:
		if c, ok := claim(e); ok {
			c.Time, c.Entry, c.Kind = e.Time, e.Seq, e.Type
			c.Basis, c.Problems = bounded(c.Basis), bounded(c.Problems)
			h.claims = append(h.claims, c)
		}
	}
}

func read[T any](e journal.Entry) (T, bool) {
	var v T
	err := e.Decode(&v)
	return v, err == nil
}

func answered(at time.Time, q incident.Question, a incident.Answer) Answer {
	out := Answer{Time: at, Step: q.Step, Kind: q.Kind, Question: q.Title, Choice: a.Choice, Text: a.Text, By: a.By, Key: keyOf(a.Signed)}
	for _, o := range q.Options {
		if o.ID == a.Choice {
			out.ChoiceTitle = o.Title
		}
	}
	return out
}

// claim is what an entry says in the host's name.
func claim(e journal.Entry) (Claim, bool) {
	switch e.Type {
	case incident.TypeDescribed:
		d, ok := read[incident.Described](e)
		return Claim{Says: described(d), Basis: describedBasis(d), Problems: d.Problems}, ok
	case incident.TypeFrozen:
		f, ok := read[incident.Frozen](e)
		took := lasting(time.Duration(f.TookMS * float64(time.Millisecond)))
		says := words(fmt.Sprintf("It froze %s in %s, and all that it found of the agent stands still.", plural(f.Processes, "process", "processes"), took))
		if !f.Complete && !f.Still {
			says = words(fmt.Sprintf("It tried to freeze the agent for %s and names %s. Not everything that it found of the agent stands still.",
				took, plural(f.Processes, "process", "processes")))
		}
		return Claim{Says: says, Basis: append(labelled("how", f.How), f.Proof...), Problems: f.Problems}, ok
	case incident.TypeStopped:
		s, ok := read[incident.Stopped](e)
		says := words(fmt.Sprintf("It killed %s.", plural(s.Killed, "process", "processes")))
		problems := s.Problems
		if s.GaveUp != "" {
			problems = append([]string{"evidence was given up for the kill: " + s.GaveUp}, problems...)
		}
		return Claim{Says: says, Basis: append(labelled("did", s.Did), labelled("moved aside", s.Held)...), Problems: problems}, ok
	case incident.TypeChecked:
		c, ok := read[incident.Checked](e)
		says := words("The agent is down.")
		if !c.Down {
			says = "The agent is not down."
		}
		return Claim{Says: says, Basis: c.Proof, Problems: c.Problems}, ok
	case incident.TypeIsolated:
		i, ok := read[incident.Isolated](e)
		basis := append(labelled("how", i.How), labelled("kept open", i.Kept)...)
		return Claim{Says: words(restricted(i.Only) + " This is " + incident.Delay + "."), Basis: append(basis, i.Proof...), Problems: i.Problems}, ok
	case incident.TypeIsolationTested:
		i, ok := read[incident.IsolationTested](e)
		return isolationTested(i), ok
	case incident.TypeBrokerDone:
		d, ok := read[incident.BrokerDone](e)
		return brokerDone(d), ok
	case incident.TypeLetGone:
		l, ok := read[incident.LetGone](e)
		problems := l.Left
		if l.Error != "" {
			problems = append([]string{l.Error}, problems...)
		}
		return Claim{Says: letGone(l), Basis: l.Proof, Problems: problems}, ok
	case incident.TypeSearched:
		s, ok := read[incident.Searched](e)
		says := words(fmt.Sprintf("It searched %s with %d bytes for credentials.", plural(s.Files, "file", "files"), s.Bytes))
		return Claim{Says: says, Problems: s.Problems}, ok
	}
	return Claim{}, false
}

// isolationTested is half the desk's own: it says which half.
func isolationTested(i incident.IsolationTested) Claim {
	says, shut := words("It counted what it dropped of the agent, and the desk tried a way in of its own beside the one in use."), i.Dropped > 0
	if !i.Only {
		says, shut = "It tried to reach what the isolation forbids, and the desk tried a way in of its own beside the one in use.",
			i.After == incident.WasSilent && i.Before == incident.WasAnswered
	}
	c := Claim{Says: says, Basis: []string{i.Out()}, Problems: []string{}}
	if !shut {
		c.Basis, c.Problems = nil, c.Basis
	}
	if i.Lost != "" {
		c.Problems = append(c.Problems, "seen by the desk: "+i.Lost)
	} else {
		c.Basis = append(c.Basis, "seen by the desk: "+i.WayIn)
	}
	return c
}

// brokerDone is what a broker says, and not the host.
func brokerDone(d incident.BrokerDone) Claim {
	says := words("A broker keeps the agent out.")
	switch {
	case d.Back && d.Holds:
		says = "A broker gave the agent's access back."
	case d.Back:
		says = "A broker was to give the agent's access back, and nothing shows that it did."
	case !d.Holds:
		says = "A broker was to keep the agent out, and nothing shows that it does."
	}
	problems := d.Left
	if d.Error != "" {
		problems = append([]string{d.Error}, problems...)
	}
	return Claim{Says: says, Basis: slices.Concat([]string{"broker: " + d.Broker}, labelled("did", d.Did), d.Proof), Problems: problems}
}

func restricted(agentAlone bool) string {
	if agentAlone {
		return "It cut the agent alone off the network, as listed here."
	}
	return "It restricted the network as listed here."
}

func letGone(l incident.LetGone) words {
	switch {
	case l.Error != "":
		return "It did not take back all that it was asked to."
	case l.What == incident.Thaw:
		return "It let the agent go on."
	case l.What == incident.Reopen:
		return "It opened its network again, and left the rest as it was."
	}
	return "It gave back what the response had changed."
}

func described(d incident.Described) words {
	says := words(fmt.Sprintf("Before anything was changed, %s of the agent ran there, and %s could bring it back.",
		plural(d.Processes, "process", "processes"), plural(len(d.Revivers), "thing", "things")))
	switch ahead := time.Duration(d.ClockAheadMS) * time.Millisecond; {
	case ahead > 0:
		says += words(fmt.Sprintf(" Its clock stood about %s ahead of the desk's.", lasting(ahead)))
	case ahead < 0:
		says += words(fmt.Sprintf(" Its clock stood about %s behind the desk's.", lasting(-ahead)))
	}
	return says
}

func describedBasis(d incident.Described) []string {
	var basis []string
	if d.Hostname != "" {
		basis = append(basis, "host name: "+d.Hostname)
	}
	if d.Kernel != "" {
		basis = append(basis, "kernel: "+d.Kernel)
	}
	basis = append(basis, labelled("installation", d.Installations)...)
	basis = append(basis, labelled("unit", d.Units)...)
	return append(basis, labelled("may bring it back", d.Revivers)...)
}

func labelled(label string, list []string) []string {
	var out []string
	for _, text := range list {
		out = append(out, label+": "+text)
	}
	return out
}

// bounded keeps what a host says to a size that somebody reads. The record has all of it.
func bounded(list []string) []string {
	const most, each = 100, 1000
	out := []string{}
	for i, text := range list {
		if i == most {
			return append(out, fmt.Sprintf("and %d more, see the record", len(list)-most))
		}
		out = append(out, incident.Cut(text, each))
	}
	return out
}
