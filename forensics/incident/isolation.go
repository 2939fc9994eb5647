package incident

import (
	"fmt"

	"clawback/forensics/journal"
)

// TypeIsolationTested is the type of the entry of an IsolationTested.
const TypeIsolationTested = "host.isolation"

// TypeCutOff is the type of the entry of a CutOff.
const TypeCutOff = "host.cut"

// CutOff is the intent to isolate a host, or the agent on it, beside what the response does.
type CutOff struct {
	Only bool     `json:"only,omitempty"` // the agent alone
	Keep []string `json:"keep,omitempty"` // that stays in reach of the host: "siem=10.0.0.5:6514"
	By   string   `json:"by"`
	Why  string   `json:"why,omitempty"`
}

func cutOffLine(e journal.Entry) (string, string, bool) {
	c, ok := decoded[CutOff](e)
	what := "the host"
	if c.Only {
		what = "the agent alone"
	}
	text := c.By + " cuts " + what + " off the network"
	if c.Why != "" {
		text += ": " + c.Why
	}
	return "isolate", text, ok
}

// Delay is what an isolation on the host itself is worth, and who can do better.
const Delay = "against root on it a delay, not containment: have whoever runs the cloud or the hypervisor cut it off there"

// What came of an attempt to reach an address.
const (
	WasAnswered = "answered" // accepted or refused: packets pass both ways
	WasSilent   = "silent"   // no answer in the time given
)

// IsolationTested is a test of the isolation: the desk's way in, which the desk saw itself, and the
// host's way out, which the host claims.
type IsolationTested struct {
	WayIn  string `json:"way_in,omitempty"` // what answered a second connection of the desk
	Lost   string `json:"lost,omitempty"`   // why nothing did
	To     string `json:"to,omitempty"`     // address and port that the host tried to reach, which the isolation forbids
	Before string `json:"before,omitempty"` // WasAnswered, WasSilent, or "" where that is not known
	After  string `json:"after,omitempty"`  // likewise, once it was isolated
	Said   string `json:"said,omitempty"`   // by the host of the attempt after, or why there was none

	// Of an agent that is cut off alone no attempt from outside shows anything: the host counts what it
	// dropped.
	Only    bool   `json:"only,omitempty"`
	Dropped uint64 `json:"dropped,omitempty"` // packets of the agent
}

// Holds reports whether both were proved: an address that answered before is silent, and the desk can
// come back; or of an agent that is cut off alone, that something of it was dropped.
func (i IsolationTested) Holds() bool {
	if i.Only {
		return i.Lost == "" && i.WayIn != "" && i.Dropped > 0
	}
	return i.Lost == "" && i.WayIn != "" && i.Before == WasAnswered && i.After == WasSilent
}

// Out says what is known of the host's way out, in words.
func (i IsolationTested) Out() string {
	switch {
	case i.Only && i.Said != "":
		return "whether anything of the agent was dropped is not known: " + i.Said
	case i.Only && i.Dropped > 0:
		return fmt.Sprintf("%s of the agent dropped since", plural(int(min(i.Dropped, 1<<31)), "packet", "packets"))
	case i.Only:
		return "no packet of the agent came by since: that the rules hold it off is not seen yet"
	case i.After == WasAnswered:
		return i.To + " still answers the host"
	case i.After == WasSilent && i.Before == WasAnswered:
		return i.To + " answered the host before, and does not any more"
	case i.After == WasSilent:
		return i.To + " does not answer the host, and was not seen to answer it before: that proves nothing"
	case i.Said != "":
		return "whether the host still reaches what it must not is not known: " + i.Said
	}
	return "whether the host still reaches what it must not is not known"
}

func isolationLine(e journal.Entry) (string, string, bool) {
	i, ok := decoded[IsolationTested](e)
	in := "the desk's way in: " + i.WayIn
	word := "tested"
	switch {
	case i.Lost != "":
		word, in = "LOCKED OUT", "the desk's way in is cut: "+i.Lost
	case i.After == WasAnswered:
		word = "NOT ISOLATED"
	case !i.Holds():
		word = "unproved"
	}
	return word, fmt.Sprintf("%s; %s", i.Out(), in), ok
}
