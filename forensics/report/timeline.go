package report

import (
	"fmt"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// Bounds of the timeline. Beyond full, what went as it should is summed up by the minute.
const (
	fullEvents = 600
	maxEvents  = 1000
	maxEvent   = 400 // bytes of one text
)

// Event is one line of the timeline.
type Event struct {
	Time  time.Time `json:"time"`
	Entry uint64    `json:"entry"` // of the record; the first where Count is more than 1
	Word  string    `json:"word"`
	Text  string    `json:"text"`
	Count int       `json:"count,omitempty"` // entries that it stands for, where there are several
}

type timeline struct {
	all     []Event
	routine []bool                            // by event
	said    map[credential.Fingerprint]string // by the newest probe
}

func (t *timeline) add(s incident.State, e journal.Entry) {
	word, text, ok := incident.Line(s, e)
	if !ok || e.Type == incident.TypeProbe && !t.news(e) {
		return
	}
	routine := word == string(credential.Dead)
	switch e.Type {
	case incident.TypeFound, incident.TypeRevoke, incident.TypeReceipt, incident.TypeProbe:
		routine = true
	}
	t.all = append(t.all, Event{Time: e.Time, Entry: e.Seq, Word: word, Text: incident.Cut(text, maxEvent)})
	t.routine = append(t.routine, routine)
}

// news reports whether a probe says something else than the one before of the same credential.
func (t *timeline) news(e journal.Entry) bool {
	p, ok := read[incident.Probe](e)
	if t.said == nil {
		t.said = make(map[credential.Fingerprint]string)
	}
	now := p.Outcome + " " + p.Answer
	before := t.said[p.Fingerprint]
	t.said[p.Fingerprint] = now
	return ok && now != before
}

func (t *timeline) events() []Event {
	if len(t.all) <= fullEvents {
		return t.all
	}
	all := t.summed()
	if len(all) <= maxEvents {
		return all
	}
	half := maxEvents / 2
	first, left, last := all[:half:half], all[half:len(all)-half+1], all[len(all)-half+1:]
	n := 0
	for _, e := range left {
		n += max(e.Count, 1)
	}
	gap := Event{Time: left[0].Time, Entry: left[0].Entry, Word: "…", Count: n,
		Text: fmt.Sprintf("%d entries are left out here: the record has them", n)}
	return append(append(first, gap), last...)
}

// summed makes one event of all routine events of one word within a minute.
func (t *timeline) summed() []Event {
	type key struct {
		word   string
		minute int64
	}
	var out []Event
	at := make(map[key]int)
	until := make(map[key]time.Time)
	for i, e := range t.all {
		k := key{e.Word, e.Time.Unix() / 60}
		j, seen := at[k]
		switch {
		case !t.routine[i]:
			out = append(out, e)
		case !seen:
			at[k], until[k] = len(out), e.Time
			e.Count = 1
			out = append(out, e)
		default:
			out[j].Count++
			until[k] = e.Time
		}
	}
	for k, j := range at {
		if n := out[j].Count; n > 1 {
			out[j].Text = fmt.Sprintf("%d entries until %s: each credential is listed on its own", n, until[k].UTC().Format("15:04:05.000"))
		}
	}
	return out
}
