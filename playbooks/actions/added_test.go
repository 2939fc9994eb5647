package actions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// attended is a response with a person, who does something when they are asked something.
type attended struct {
	t     *testing.T
	r     *Response
	fakes map[string]fake.Provider
	e     *engine.Engine
	asked func(q incident.Question)
}

func newAttended(t *testing.T, h host.Host, uses ...string) *attended {
	a := &attended{t: t, r: newResponse(t, &machine{})}
	a.r.Host, a.r.Attended = h, true
	a.fakes = simulated(t, a.r)
	p := book(uses...)
	p.Attended = true
	a.e = &engine.Engine{Journal: journal.InMemory(time.Now), Playbook: p, Clock: a.r.Clock, Decider: a}
	t.Cleanup(func() { _ = a.e.Journal.Close() })
	return a
}

func (a *attended) Decide(_ context.Context, q incident.Question) (incident.Answer, error) {
	a.asked(q)
	return incident.Answer{Choice: incident.Yes, Text: q.Type, By: "dana"}, nil
}

func (a *attended) carry() incident.State {
	a.t.Helper()
	s, err := a.r.Carry(a.t.Context(), a.e, incident.Declared{Incident: "INC-1", Mode: incident.Real})
	if err != nil || s.Unreadable > 0 {
		a.t.Errorf("%v, %v", err, s.Warnings)
	}
	return s
}

func (a *attended) now() incident.State {
	s, err := foldAll(context.Background(), a.e.Journal)
	if err != nil {
		a.t.Error(err)
	}
	return s
}

func (a *attended) add(c credential.Credential, note string) error {
	return a.e.Submit(context.Background(), engine.Command{Add: &incident.Addition{
		Provider: c.Provider, Kind: c.Kind, Secret: c.Secret, Text: note, By: "dana"}})
}

func (a *attended) tell(kind, text string, c credential.Credential) error {
	return a.e.Submit(context.Background(), engine.Command{Credential: &incident.Command{
		Kind: kind, Credential: a.r.Key.Identify(c).Fingerprint, Text: text, By: "dana"}})
}

// nowhere holds the whole record against secrets.
func (a *attended) nowhere(cs ...credential.Credential) {
	a.t.Helper()
	for e, err := range a.e.Journal.Entries(context.Background()) {
		for _, c := range cs {
			for _, part := range c.Secret.Parts() {
				if err != nil || strings.Contains(string(e.Line()), c.Secret.Reveal(part)) {
					a.t.Errorf("entry %d (%s) holds a secret, %v", e.Seq, e.Type, err)
				}
			}
		}
	}
}

// What a person adds goes the way of what is found, whatever the search and the sweep do: it is on
// record first, then kept, then found, and it dies.
func TestAdd(t *testing.T) {
	for name, uses := range map[string][]string{
		"before the search":     {"person.guide", "credentials.discover", "credentials.revoke"},
		"before the sweep":      {"credentials.discover", "person.guide", "credentials.revoke"},
		"after the sweep":       {"credentials.discover", "credentials.revoke", "person.guide"},
		"nothing else is found": {"credentials.discover", "credentials.revoke", "person.guide", "agent.stop"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				a := newAttended(t, h, uses...)
				held, added, more := a.fakes["github"].Mint("github.pat"), a.fakes["slack"].Mint("slack.bot"), a.fakes["github"].Mint("github.pat")
				if !strings.HasPrefix(name, "nothing") {
					h.discover = finds(foundAt(held, "a"))
				}
				a.asked = func(incident.Question) {
					for _, c := range []credential.Credential{added, more} {
						if err := a.add(c, "from the wiki"); err != nil {
							t.Error(err)
						}
					}
					if err := a.add(added, ""); !errors.Is(err, ErrOnBoard) {
						t.Errorf("twice: %v", err)
					}
					kept, err := os.ReadFile(a.r.path("keys", vaultName))
					if f := string(a.r.Key.Identify(added).Fingerprint); err != nil || !strings.Contains(string(kept), f) {
						t.Errorf("it is not kept: %v", err)
					}
				}
				s := a.carry()
				c := s.Credential(a.r.Key.Identify(added).Fingerprint)
				if c == nil || c.Life != credential.Dead || a.fakes["slack"].Alive(added) || a.fakes["github"].Alive(more) {
					t.Fatalf("it is %+v", c)
				}
				if src := c.Sources[0]; src.Path != "what dana added" || src.Note != "from the wiki" {
					t.Errorf("its source is %+v", src)
				}
				var order []string
				for e := range a.e.Journal.Entries(context.Background()) {
					if strings.Contains(string(e.Line()), string(c.Fingerprint)) {
						order = append(order, e.Type)
					}
				}
				if len(order) < 3 || order[0] != incident.TypeCommand || order[1] != incident.TypeFound {
					t.Errorf("on record are %v", order)
				}
				a.nowhere(held, added, more)
			})
		})
	}
}

func TestAddRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		a := newAttended(t, h, "credentials.discover", "credentials.revoke", "person.guide")
		held := a.fakes["github"].Mint("github.pat")
		other := a.fakes["github"].Mint("github.pat")
		h.discover = finds(foundAt(held, "a"))
		a.asked = func(incident.Question) {
			entries := a.now().Entries
			for name, c := range map[string]struct {
				c    credential.Credential
				note string
				want error
			}{
				"on the board": {held, "", ErrOnBoard},
				"no value":     {credential.Credential{Provider: "github", Kind: "github.pat"}, "", ErrNoSecret},
				"no kind":      {credential.Credential{Provider: "github", Kind: "x", Secret: other.Secret}, "", ErrNoKind},
				"quoted":       {other, "it is " + other.Secret.Reveal("value"), ErrQuoted},
			} {
				if err := a.add(c.c, c.note); !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), other.Secret.Reveal("value")) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if now := a.now().Entries; now != entries {
				t.Errorf("%d entries of what was refused", now-entries)
			}
		}
		s := a.carry()
		if err := a.add(other, ""); !errors.Is(err, ErrEnding) || len(s.Credentials) != 1 {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A credential that is dropped lives on, open in the report with the reason; a retry takes it back,
// before the sweep and after it.
func TestDrop(t *testing.T) {
	for name, c := range map[string]struct {
		uses  []string
		retry bool
	}{
		"before the sweep":            {[]string{"credentials.discover", "person.guide", "credentials.revoke"}, false},
		"before the sweep, and back":  {[]string{"credentials.discover", "person.guide", "credentials.revoke"}, true},
		"in the sweep, back after it": {[]string{"credentials.discover", "credentials.revoke", "person.guide"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				a := newAttended(t, h, c.uses...)
				webhook, held := a.fakes["slack"].Mint("slack.webhook"), a.fakes["github"].Mint("github.pat")
				h.discover = finds(foundAt(held, "a"))
				inSweep := strings.HasPrefix(name, "in the sweep")
				target := held
				if inSweep { // one that waits for a person, so that the sweep waits too
					target = webhook
					h.discover = finds(foundAt(held, "a"), foundAt(webhook, "b"))
					go func() {
						time.Sleep(time.Minute)
						if err := a.tell(incident.Skip, "the owner is on leave", target); err != nil {
							t.Error(err)
						}
					}()
				}
				a.asked = func(incident.Question) {
					if !inSweep {
						if err := a.tell(incident.Skip, "the owner is on leave", target); err != nil {
							t.Error(err)
						}
					}
					s := a.now()
					var why string
					for _, m := range s.OpenMatters() {
						if m.Kind == incident.MatterCredential && m.Credential == a.r.Key.Identify(target).Fingerprint {
							why = m.Why
						}
					}
					got := s.Credential(a.r.Key.Identify(target).Fingerprint)
					if got.Life != credential.Skipped || got.Reason != incident.ReasonDecision || why != "left alone by dana: the owner is on leave" {
						t.Errorf("it is %s (%s): %q", got.Life, got.Reason, why)
					}
					if c.retry {
						if err := a.tell(incident.Retry, "", target); err != nil {
							t.Error(err)
						}
					}
					if inSweep {
						time.Sleep(time.Second)
						if err := a.tell(incident.Skip, "for good", target); err != nil {
							t.Error(err)
						}
					}
				}
				s := a.carry()
				got := s.Credential(a.r.Key.Identify(target).Fingerprint)
				switch {
				case inSweep && (got.Life != credential.Skipped || got.Decision.Text != "for good"):
					t.Errorf("it is %s: %+v", got.Life, got.Decision)
				case !inSweep && (got.Life == credential.Dead) != c.retry, !inSweep && a.fakes["github"].Alive(held) == c.retry:
					t.Errorf("it is %s", got.Life)
				}
			})
		})
	}
}

// What the inventory knows stands on record with what it names, also where only the provider says
// whose it is; what was not found is open, and a question before the gate says what breaks.
func TestInventory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		a := newAttended(t, h, "credentials.discover", "person.guide", "credentials.revoke")
		pat, bot := a.fakes["github"].Mint("github.pat"), a.fakes["slack"].Mint("slack.bot")
		masked := credential.Mask(pat.Kind, pat.Secret, nil)
		a.r.Inventory = incident.Inventory{Items: []incident.InventoryItem{
			{Provider: "github", Masked: masked, Purpose: "production deploys", Breaks: "deploy-bot", Owner: "platform"},
			{Provider: "stripe", KeyID: "mk_1", Breaks: "billing"},
		}}
		h.discover = finds(foundAt(pat, "a"), foundAt(bot, "b"), foundAt(pat, "c"))
		a.asked = func(q incident.Question) {
			lines, _ := revocation{a.r}.Announce(a.e.Playbook.Steps()[2])
			if got := strings.Join(lines, "\n"); !strings.Contains(got, "Breaks: deploy-bot (inventory: production deploys), 1 not in inventory.") {
				t.Errorf("%s", got)
			}
		}
		s := a.carry()
		c := s.Credential(a.r.Key.Identify(pat).Fingerprint)
		if c.Inventory == nil || c.Inventory.Breaks != "deploy-bot" || c.Life != credential.Dead {
			t.Errorf("%+v", c.Inventory)
		}
		if missing := s.NotFound(); len(missing) != 1 || missing[0].KeyID != "mk_1" {
			t.Errorf("not found: %v", missing)
		}
		var open []string
		for _, m := range s.OpenMatters() {
			if m.Kind == incident.MatterInventory {
				open = append(open, m.What+": "+m.Why)
			}
		}
		if len(open) != 1 || open[0] != "stripe mk_1: in the inventory, not found on the host: breaks billing" {
			t.Errorf("open: %q", open)
		}
		n := 0
		for e := range a.e.Journal.Entries(context.Background()) {
			if e.Type == incident.TypeInventoried {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d matches on record", n)
		}
	})
}

// What a person revoked after the sweep had given it up is proved, while the incident is open.
func TestByHandAfterTheSweep(t *testing.T) {
	for name, revoked := range map[string]bool{"it is true": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				a := newAttended(t, h, "credentials.discover", "credentials.revoke", "person.guide")
				key := a.fakes["aws"].Mint("aws.access_key")
				h.discover = finds(foundAt(key, "a"))
				a.asked = func(incident.Question) {
					was := a.now().Credential(a.r.Key.Identify(key).Fingerprint)
					if was.Life != credential.Failed {
						t.Fatalf("without an authority it is %s", was.Life)
					}
					if revoked {
						a.fakes["aws"].RevokeByHand(key)
					}
					if err := a.tell(incident.ByHand, "", key); err != nil {
						t.Error(err)
					}
				}
				s := a.carry()
				c := s.Credential(a.r.Key.Identify(key).Fingerprint)
				if (c.Life == credential.Dead) != revoked || c.Weak || c.Receipt.Answer != "revoked by hand" || c.Probes == 0 {
					t.Errorf("it is %s (%s), weak %v, receipt %q, %d probes", c.Life, c.Error, c.Weak, c.Receipt.Answer, c.Probes)
				}
				if err := a.tell(incident.ByHand, "", key); err == nil {
					t.Error("it is taken after the end")
				}
			})
		})
	}
}
