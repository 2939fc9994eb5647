package actions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// withAWS gives a response an authority at the simulated AWS.
func withAWS(t *testing.T, r *Response, fakes map[string]fake.Provider) {
	t.Helper()
	admin, ok := fakes["aws"].MintAuthority()
	if !ok {
		t.Fatal("no authority")
	}
	r.Authorities.Load = map[string]func(context.Context) (revoke.Authority, error){
		"aws": func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: admin.Secret, Kind: admin.Kind, From: "the test"}, nil
		},
	}
}

// until waits, by the clock of the test, for what the record shows of a credential.
func (a *attended) until(c credential.Credential, what string, is func(*incident.Credential) bool) *incident.Credential {
	a.t.Helper()
	for range 3600 {
		if got := a.now().Credential(a.r.Key.Identify(c).Fingerprint); got != nil && is(got) {
			return got
		}
		time.Sleep(time.Second)
	}
	if got := a.now().Credential(a.r.Key.Identify(c).Fingerprint); got != nil {
		a.t.Errorf("%s never came: %s is %s (%s), last %+v, decision %+v", what, got, got.Life, got.Error, got.Last, got.Decision)
	} else {
		a.t.Errorf("%s never came: %s is not on record", what, c)
	}
	return nil
}

func life(l credential.Life) func(*incident.Credential) bool {
	return func(c *incident.Credential) bool { return c.Life == l }
}

func takenBack(c *incident.Credential) bool {
	return c.Life == credential.Skipped && c.Decision.Kind == incident.TakeBack && c.Last.Outcome == "alive"
}

// slowly has what is asked of a provider answered later than whoever asked goes on.
func slowly(*http.Request) fake.Fault { return fake.Fault{Delay: time.Second} }

// A false alarm is taken back in the middle of the response: while its death is being proved, and when it
// was. The key works again, the response leaves it alone, and a retry revokes it once more.
func TestTakeBackInARun(t *testing.T) {
	for name, proved := range map[string]bool{"while it is proved": false, "once it is dead": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				a := newAttended(t, h, "credentials.discover", "credentials.revoke", "person.guide")
				withAWS(t, a.r, a.fakes)
				key, webhook := a.fakes["aws"].Mint("aws.access_key"), a.fakes["slack"].Mint("slack.webhook")
				h.discover = finds(foundAt(key, "a"), foundAt(webhook, "b")) // which waits for a person, and the sweep with it
				a.asked = func(incident.Question) {}
				took := make(chan struct{})
				go func() {
					defer close(took)
					defer func() { // or the response waits for a person for ever
						if err := a.tell(incident.Skip, "", webhook); err != nil {
							t.Error(err)
						}
					}()
					stage := credential.Propagating
					if proved {
						stage = credential.Dead
					}
					if a.until(key, string(stage), life(stage)) == nil {
						return
					}
					a.fakes["aws"].Knobs().SetFault(slowly)
					if err := a.tell(incident.TakeBack, "it was the red team", key); err != nil {
						t.Error(err)
					}
					if err := a.tell(incident.Retry, "", key); !errors.Is(err, ErrUndoing) {
						t.Errorf("a retry meanwhile: %v", err)
					}
					c := a.until(key, "what came of it", takenBack)
					if c == nil || !a.fakes["aws"].Alive(key) || c.Error != "its revocation was taken back by dana: it was the red team" || c.DiedAt != (time.Time{}) {
						t.Errorf("it is %+v", c)
						return
					}
					probes := c.Probes
					time.Sleep(time.Hour)
					if c := a.until(key, "the same", takenBack); c == nil || c.Probes != probes || !a.fakes["aws"].Alive(key) {
						t.Errorf("it was not left alone: %+v", c)
					}
					if err := a.tell(incident.TakeBack, "again", key); !errors.Is(err, ErrUndone) {
						t.Errorf("twice: %v", err)
					}
					if err := a.tell(incident.Retry, "", key); err != nil {
						t.Error(err)
					}
					a.until(key, "its death", life(credential.Dead))
					if err := a.tell(incident.TakeBack, "really", key); err != nil {
						t.Error(err)
					}
					a.until(key, "what came of it", takenBack)
				}()
				s := a.carry()
				<-took
				if c := s.Credential(a.r.Key.Identify(key).Fingerprint); !takenBack(c) || !a.fakes["aws"].Alive(key) || c.Decision.Text != "really" {
					t.Errorf("at the end it is %+v", c)
				}
				if err := a.tell(incident.TakeBack, "late", key); !errors.Is(err, ErrEnding) && !errors.Is(err, ErrUndone) {
					t.Errorf("after the end: %v", err)
				}
				a.nowhere(webhook)
				intents, outcomes := 0, 0
				for e := range a.e.Journal.Entries(context.Background()) {
					switch e.Type {
					case incident.TypeUndo:
						intents++
					case incident.TypeUndone:
						outcomes++
					}
				}
				if intents != 2 || outcomes != 2 {
					t.Errorf("%d intents, %d outcomes", intents, outcomes)
				}
			})
		})
	}
}

// What cannot be taken back says why, and nothing is sent.
func TestTakeBackRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		a := newAttended(t, h, "credentials.discover", "credentials.revoke", "person.guide")
		withAWS(t, a.r, a.fakes)
		key, pat, spared, stranger := a.fakes["aws"].Mint("aws.access_key"), a.fakes["github"].Mint("github.pat"), a.fakes["aws"].Mint("aws.access_key"), a.fakes["aws"].Mint("aws.access_key")
		a.fakes["aws"].RevokeByHand(spared)
		h.discover = finds(foundAt(key, "a"), foundAt(pat, "b"), foundAt(spared, "c"))
		a.asked = func(incident.Question) {
			for name, c := range map[string]struct {
				of   credential.Credential
				why  string
				want error
			}{
				"no reason":     {key, "", ErrNoReason},
				"no undo there": {pat, "because", ErrFinal},
				"not our work":  {spared, "because", ErrNotOurWork},
				"not on record": {stranger, "because", revoke.ErrNotUnderWay},
			} {
				if err := a.tell(incident.TakeBack, c.why, c.of); !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", name, err, c.want)
				}
			}
			if a.fakes["aws"].Alive(key) || a.fakes["aws"].Alive(spared) {
				t.Error("something was taken back")
			}
		}
		a.carry()
		if err := a.tell(incident.TakeBack, "late", key); !errors.Is(err, ErrEnding) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// refusing answers what enables a key again with a status, or not at all.
func refusing(status int) func(*http.Request) fake.Fault {
	return func(r *http.Request) fake.Fault {
		_ = r.ParseForm()
		if r.PostFormValue("Action") == "UpdateAccessKey" && r.PostFormValue("Status") == "Active" || strings.HasPrefix(r.PostFormValue("Action"), "DeleteUserPolicy") {
			return fake.Fault{Status: status, Type: "text/xml", Body: "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"}
		}
		return fake.Fault{}
	}
}

// A provider that refuses leaves it as dead as it was; where nobody knows what came of it, its death is
// no longer relied on.
func TestTakeBackThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   credential.Life
	}{"refused": {403, credential.Dead}, "no answer to rely on": {503, credential.Unverified}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				a := newAttended(t, h, "credentials.discover", "credentials.revoke", "person.guide")
				withAWS(t, a.r, a.fakes)
				key := a.fakes["aws"].Mint("aws.access_key")
				h.discover = finds(foundAt(key, "a"))
				a.asked = func(incident.Question) {
					was := a.until(key, "its death", life(credential.Dead))
					a.fakes["aws"].Knobs().SetFault(refusing(c.status))
					if err := a.tell(incident.TakeBack, "it was the red team", key); err != nil {
						t.Error(err)
					}
					time.Sleep(2 * undoTimeout)
					if n := outcomes(a.e.Journal); n != 1 {
						t.Errorf("%d outcomes", n)
					}
					got := a.now().Credential(a.r.Key.Identify(key).Fingerprint)
					if got.Life != c.want || got.Life == credential.Dead && (got.Evidence != was.Evidence || !got.DiedAt.Equal(was.DiedAt)) {
						t.Errorf("it is %s (%s, %s), died %v", got.Life, got.Evidence, got.Error, got.DiedAt)
					}
				}
				a.carry()
			})
		})
	}
}

// outcomes counts what came of undoing.
func outcomes(j *journal.Journal) (n int) {
	for e := range j.Entries(context.Background()) {
		if e.Type == incident.TypeUndone {
			n++
		}
	}
	return n
}

// A run that dies between the intent and the outcome leaves nobody who knows: the next one looks, and
// neither undoes nor revokes anything by itself.
func TestTakeBackThatDied(t *testing.T) {
	for name, arrived := range map[string]bool{"it arrived": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				r := newResponse(t, h)
				fakes := simulated(t, r)
				withAWS(t, r, fakes)
				key, bot := fakes["aws"].Mint("aws.access_key"), fakes["slack"].Mint("slack.webhook") // the second keeps the secrets at the desk
				h.discover = finds(foundAt(key, "a"), foundAt(bot, "b"))
				f := r.Key.Identify(key).Fingerprint
				first := live(t, r, h, nil, "credentials.discover", "credentials.revoke")
				if c := first.Credential(f); c.Life != credential.Dead || !c.Reversible {
					t.Fatalf("it is %s (%s)", c.Life, c.Error)
				}
				live(t, r, h, func(j *journal.Journal) {
					note(t, j, incident.TypeUndo, incident.Undo{Fingerprint: f, By: "dana", Why: "red team"})
				}, "credentials.discover", "credentials.revoke")
				if arrived {
					if _, err := r.Providers["aws"].(revoke.Undoer).Undo(t.Context(), r.Key.Identify(key)); err != nil {
						t.Fatal(err)
					}
				}
				fakes["aws"].Knobs().SetFault(func(q *http.Request) fake.Fault {
					_ = q.ParseForm()
					if action := q.PostFormValue("Action"); strings.HasPrefix(action, "Update") || strings.HasPrefix(action, "Put") || strings.HasPrefix(action, "Delete") {
						t.Errorf("%s was sent", action)
					}
					return fake.Fault{}
				})
				s := live(t, r, h, nil, "credentials.discover", "credentials.revoke")
				c := s.Credential(f)
				if want := map[bool]credential.Life{true: credential.Alive, false: credential.Dead}[arrived]; c.Life != want || c.Undoing != nil {
					t.Errorf("it is %s (%s)", c.Life, c.Error)
				}
			})
		})
	}
}

// What lived on in spite of its revocation, and was then to be undone, takes no other revocation by itself.
func TestRecallOfAnUndo(t *testing.T) {
	const f = credential.Fingerprint("f1")
	lived := []any{incident.Revoke{Fingerprint: f}, incident.Receipt{Fingerprint: f, Answer: "200", Did: []string{"set to Inactive"}}, incident.Life{Fingerprint: f, Life: credential.Alive}}
	undo := incident.Undo{Fingerprint: f, By: "dana"}
	types := map[string]string{"incident.Revoke": incident.TypeRevoke, "incident.Receipt": incident.TypeReceipt, "incident.Life": incident.TypeLife,
		"incident.Undo": incident.TypeUndo, "incident.Undone": incident.TypeUndone, "incident.Command": incident.TypeCommand}
	for name, c := range map[string]struct {
		more []any
		want bool // it counts as accepted, so that it is proved and not sent again
		skip bool
	}{
		"nobody undid it": {nil, false, false},
		"died":            {[]any{undo}, true, false},
		"only asked for":  {[]any{incident.Command{Kind: incident.TakeBack, Credential: f}}, false, false},
		"undone":          {[]any{undo, incident.Undone{Fingerprint: f}}, false, true},
		"a retry refused": {[]any{undo, incident.Undone{Fingerprint: f}, incident.Command{Kind: incident.Retry, Credential: f}}, false, true},
		"revoked again":   {[]any{undo, incident.Undone{Fingerprint: f}, incident.Command{Kind: incident.Retry, Credential: f}, incident.Revoke{Fingerprint: f}}, false, false},
		"refused":         {[]any{undo, incident.Undone{Fingerprint: f, Error: "403"}}, true, false},
	} {
		j := journal.InMemory(time.Now)
		note(t, j, incident.TypeFound, incident.Found{Credential: credential.Credential{Fingerprint: f}})
		for _, data := range append(append([]any{}, lived...), c.more...) {
			note(t, j, types[fmt.Sprintf("%T", data)], data)
		}
		b, err := Recall(j.Entries(t.Context()), incident.Resumed{})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.of(f); got.Accepted != c.want || b.skip[f] != c.skip {
			t.Errorf("%s: %+v, left alone %v", name, *got, b.skip[f])
		}
		_ = j.Close()
	}
}
