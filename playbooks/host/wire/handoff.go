package wire

// Section is one answer in what a host without a link hands over.
type Section struct {
	Verb     string
	Part     string // of capture
	Everyone bool   // of discover
}

func (s Section) String() string {
	switch {
	case s.Part != "":
		return s.Verb + " of " + s.Part
	case s.Everyone:
		return s.Verb + " of every account"
	}
	return s.Verb
}

// Handoff is what a host without a link does and hands over, in this order: the answers to its verbs one
// after the other, encrypted as one stream of age. The agent is frozen before anything of it is read.
var Handoff = []Section{
	{Verb: "describe"}, {Verb: "freeze"}, {Verb: "capture", Part: "volatile"}, {Verb: "capture", Part: "files"},
	{Verb: "discover"}, {Verb: "discover", Everyone: true},
}
