package incident

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"clawback/forensics/journal"
)

const (
	TypeBroker     = "broker.intent"  // BrokerIntent
	TypeBrokerDone = "broker.outcome" // BrokerDone
)

// BrokerIntent is the intent to keep the agent off a broker, or to let it back. It holds no message
// and no secret.
type BrokerIntent struct {
	Broker string          `json:"broker"` // as the configuration calls it
	Where  string          `json:"where"`  // kind and address
	Agent  string          `json:"agent"`  // its account there
	Was    json.RawMessage `json:"was,omitempty"`
	ByHand string          `json:"by_hand,omitempty"` // what takes it back without this program
	Seen   []string        `json:"seen,omitempty"`    // before anything was changed
	Back   bool            `json:"back,omitempty"`
	By     string          `json:"by,omitempty"` // who lets it back
	Why    string          `json:"why,omitempty"`
}

// BrokerDone is what came of a BrokerIntent, as the broker claims it.
type BrokerDone struct {
	Broker string   `json:"broker"`
	Back   bool     `json:"back,omitempty"`
	Holds  bool     `json:"holds"` // a look afterwards showed what was meant
	Did    []string `json:"did,omitempty"`
	Proof  []string `json:"proof,omitempty"`
	Left   []string `json:"left,omitempty"` // what goes on in spite of it
	Error  string   `json:"error,omitempty"`
}

// Broker is how a broker stands, as the record says.
type Broker struct {
	BrokerIntent
	Done *BrokerDone // of the newest intent; nil while it is under way
	Back bool        // it was let back, and proved

	touched bool // something was done there, by this intent or one before it
}

// Touched reports whether anything was done there that is not taken back, or may have been.
func (b *Broker) Touched() bool { return !b.Back && (b.touched || b.Done == nil) }

// foldBroker keeps, of several attempts on one broker, how it stood before the first of them: what
// came after is our own work.
func (s *State) foldBroker(e journal.Entry) error {
	if e.Type == TypeBrokerDone {
		var d BrokerDone
		if err := e.Decode(&d); err != nil {
			return err
		}
		b := s.Broker(d.Broker)
		if b == nil {
			return fmt.Errorf("entry %d (%s): no intent for broker %q", e.Seq, e.Type, d.Broker)
		}
		b.Done, b.Back = &d, d.Back && d.Holds && d.Error == ""
		b.touched = b.touched || len(d.Did) > 0 || d.Holds
		return nil
	}
	var i BrokerIntent
	if err := e.Decode(&i); err != nil {
		return err
	}
	b := s.Broker(i.Broker)
	switch {
	case b == nil:
		s.Brokers = append(s.Brokers, &Broker{BrokerIntent: i})
	case b.Back || len(b.Was) == 0:
		*b = Broker{BrokerIntent: i}
	default:
		was := *b
		*b = Broker{BrokerIntent: i, touched: was.Touched()}
		b.Was = was.Was
	}
	return nil
}

// Broker returns a broker of the record by its name, or nil.
func (s State) Broker(name string) *Broker {
	for _, b := range s.Brokers {
		if b.Broker == name {
			return b
		}
	}
	return nil
}

// brokerPart is what the evidence of a broker is called before its name.
const brokerPart = "broker-"

// BrokerPart is the part of the evidence that is of a broker.
func BrokerPart(broker string) string { return brokerPart + broker }

// podsPart is what the evidence of a cluster is called before its number.
const podsPart = "pods"

// PodsPart is the part of the evidence that a platform keeps of what the agent's pods said, of several the
// n-th, from 0.
func PodsPart(n int) string {
	if n == 0 {
		return podsPart
	}
	return fmt.Sprintf("%s.%d", podsPart, n+1)
}

// OfHost reports whether a package holds evidence of the host, and not of a broker or a cluster.
func (s Sealed) OfHost() bool {
	return !strings.HasPrefix(s.Part, brokerPart) && s.Part != podsPart && !strings.HasPrefix(s.Part, podsPart+".")
}

// Preserved reports whether any evidence of the host is sealed.
func (s State) Preserved() bool {
	for _, bag := range s.Sealed {
		if bag.OfHost() {
			return true
		}
	}
	return false
}

func brokerLine(e journal.Entry) (string, string, bool) {
	if e.Type == TypeBroker {
		i, ok := decoded[BrokerIntent](e)
		if i.Back {
			return "broker", fmt.Sprintf("%s lets account %s back to %s (%s): %s", i.By, i.Agent, i.Broker, i.Where, i.Why), ok
		}
		return "broker", fmt.Sprintf("cutting account %s off %s (%s)", i.Agent, i.Broker, i.Where), ok
	}
	d, ok := decoded[BrokerDone](e)
	word := map[[2]bool]string{{false, true}: "cut off", {false, false}: "NOT CUT OFF", {true, true}: "let back", {true, false}: "NOT LET BACK"}[[2]bool{d.Back, d.Holds}]
	text := d.Broker + ": " + cmp.Or(strings.Join(d.Did, "; "), "nothing was done")
	if d.Error != "" {
		text += "; " + d.Error
	}
	if len(d.Left) > 0 {
		text += "; not held: " + strings.Join(d.Left, "; ")
	}
	return word, text, ok
}
