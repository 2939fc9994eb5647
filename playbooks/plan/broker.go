package plan

import (
	"context"
	"slices"
	"strings"

	"clawback/playbooks/actions"
)

// Broker is a place where work waits for the agent, that it is cut off from.
type Broker struct {
	Name    string   `json:"name"`
	Where   string   `json:"where"`
	Agent   string   `json:"agent"` // its account there
	Queues  []Queue  `json:"queues,omitempty"`
	Live    int      `json:"connections"` // of the agent's account
	Others  []string `json:"others,omitempty"`
	Asked   bool     `json:"asked"`
	Trouble string   `json:"trouble,omitempty"` // why it could not be looked at
}

// Queue is a place on a broker where messages wait.
type Queue struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Messages int64  `json:"messages"` // -1 where that is not known
}

// brokers looks at each broker of which the playbook makes use, where anybody is asked anything.
func (p *Plan) brokers(ctx context.Context, s Survey) {
	uses := false
	for _, step := range s.Book.Steps() {
		uses = uses || step.Uses == "broker.hold"
	}
	if !uses {
		return
	}
	for _, b := range s.Work.Brokers {
		p.Brokers = append(p.Brokers, Broker{Name: b.Name(), Where: b.Where(), Agent: b.Agent()})
	}
	switch {
	case !s.Ask:
	case p.Suspect:
		for i := range p.Brokers {
			p.Brokers[i].Trouble = "your own credentials are not used on the machine under suspicion before that was accepted"
		}
	default:
		for i, seen := range s.Work.LookAtBrokers(ctx) {
			p.Brokers[i].take(seen)
		}
	}
}

// take takes over what a broker says.
func (b *Broker) take(seen actions.BrokerSeen) {
	if seen.Err != nil {
		b.Trouble = text(seen.Err.Error())
		return
	}
	b.Asked, b.Live = true, len(seen.Live)
	for _, q := range seen.Queues {
		b.Queues = append(b.Queues, Queue{text(q.Name), text(q.Kind), q.Messages})
	}
	for _, other := range seen.Others {
		b.Others = append(b.Others, text(other))
	}
}

// listBrokers says what the agent is cut off from, below the step that does it.
func (t *text80) listBrokers(p Plan) {
	for _, b := range p.Brokers {
		t.line(4, "%s (%s): account %s", b.Name, b.Where, b.Agent)
		switch {
		case b.Trouble != "":
			t.line(6, "could not be looked at: %s", b.Trouble)
		case !b.Asked:
			t.line(6, "not asked")
		default:
			t.line(6, "connections of it: %d", b.Live)
		}
		for _, q := range b.Queues {
			if q.Messages < 0 {
				t.line(6, "%s (%s)", q.Name, q.Kind)
			} else {
				t.line(6, "%s (%s): messages: %d", q.Name, q.Kind, q.Messages)
			}
		}
		if len(b.Others) > 0 {
			t.line(6, "others there: %s", strings.Join(b.Others[:min(len(b.Others), maxShown)], ", "))
		}
	}
}

func (b Broker) key() string   { return b.Name }
func (b Broker) label() string { return "broker " + b.Name + " (" + b.Where + ")" }

// broker compares what is cut off, and not what waits there: that changes by the second.
func (d *differ) broker(was, now Broker) {
	if was.Where != now.Where || was.Agent != now.Agent || !slices.Equal(was.queues(), now.queues()) && was.Asked && now.Asked {
		d.matters("changed: %s: account %s, queues %s; it was %s, account %s, queues %s", now.label(), now.Agent, strings.Join(now.queues(), ", "),
			was.Where, was.Agent, strings.Join(was.queues(), ", "))
	}
}

func (b Broker) queues() (names []string) {
	for _, q := range b.Queues {
		names = append(names, q.Name)
	}
	return names
}
