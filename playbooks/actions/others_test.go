package actions

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// ofUser is a find in what another user keeps.
func ofUser(c credential.Credential, path, user string) discover.Found {
	f := foundAt(c, path)
	f.Other = user
	return f
}

// What other users keep waits for the finding that the host is lost and for somebody who says so;
// then it dies like the rest. Whoever decides against it can take that back.
func TestOthers(t *testing.T) {
	for name, answer := range map[string]string{"revoked": incident.Yes, "left alone": incident.No, "left alone, and back": incident.No} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				a := newAttended(t, h, "credentials.discover", "credentials.revoke", "credentials.others", "person.guide")
				held, other, bot := a.fakes["github"].Mint("github.pat"), a.fakes["github"].Mint("github.oauth"), a.fakes["slack"].Mint("slack.bot")
				h.discover = finds(foundAt(held, "a"))
				h.discoverAll = func(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
					_, _ = finds(foundAt(held, "a"), ofUser(held, "home/ada/b", "ada"), ofUser(other, "home/ada/c", "ada"), ofUser(bot, "home/eve/d", "eve"))(ctx, found)
					return discover.Summary{Files: 9, Deferred: []string{"x.sqlite"}}, nil
				}
				var asked []incident.Question
				a.asked = func(q incident.Question) {
					asked = append(asked, q)
					switch {
					case len(asked) == 1 && (!a.fakes["github"].Alive(other) || a.now().Lost == nil || a.now().Credential(a.r.Key.Identify(other).Fingerprint) == nil):
						t.Error("it was revoked before somebody said so, or is not on record")
					case len(asked) == 2 && strings.HasSuffix(name, "back"):
						if err := a.tell(incident.Retry, "", other); err != nil {
							t.Error(err)
						}
					}
				}
				a.e.Decider = decider(func(q incident.Question) incident.Answer {
					a.asked(q)
					if q.Kind == incident.Typed && answer == incident.No {
						return incident.Answer{Choice: incident.No, By: "dana"}
					}
					return incident.Answer{Choice: incident.Yes, Text: q.Type, By: "dana"}
				})
				s := a.carry()
				if len(asked) != 2 || asked[0].Type != "revoke 2" || !slices.Contains(asked[0].Text, "github: 1 credential") || asked[0].Step != "others" {
					t.Fatalf("asked %+v", asked)
				}
				got := s.Credential(a.r.Key.Identify(other).Fingerprint)
				dead := name != "left alone"
				if got == nil || got.Other != "ada" || (got.Life == credential.Dead) != dead || a.fakes["github"].Alive(other) == dead {
					t.Errorf("it is %+v", got)
				}
				if own := s.Credential(a.r.Key.Identify(held).Fingerprint); own.Other != "" || own.Life != credential.Dead || len(own.Sources) != 2 {
					t.Errorf("the agent's own is %+v", own)
				}
				if s.Lost == nil || len(s.Searched.Problems) > 0 {
					t.Errorf("lost: %v, searched %+v", s.Lost, s.Searched)
				}
				a.nowhere(held, other, bot)
			})
		})
	}
}

// decider answers questions.
type decider func(incident.Question) incident.Answer

func (d decider) Decide(_ context.Context, q incident.Question) (incident.Answer, error) {
	return d(q), nil
}

// A host that is lost from the start has one search, and nobody is asked.
func TestHostLostFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		r.HostLost = true
		other := fakes["github"].Mint("github.pat")
		h.discoverAll = finds(ofUser(other, "home/ada/c", "ada"))
		s := play(t, r, "credentials.discover", "credentials.revoke", "credentials.others")
		if c := s.Credential(r.Key.Identify(other).Fingerprint); c == nil || c.Life != credential.Dead || c.Other != "ada" {
			t.Errorf("it is %+v", c)
		}
		want(t, s, "others", incident.Skipped, "declared lost before")
		if slices.Contains(h.calls, "discover") || !slices.Contains(h.calls, "discover all") {
			t.Errorf("asked of the host: %v", h.calls)
		}
	})
}

// A run that died before somebody said what becomes of other users' credentials leaves them to the
// step that asks; one that is resumed with --host-lost searches anew and revokes them.
func TestOthersOfAnEarlierRun(t *testing.T) {
	for name, lost := range map[string]bool{"asked again": false, "the host is lost now": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				r := newResponse(t, h)
				fakes := simulated(t, r)
				other := fakes["github"].Mint("github.pat")
				h.discoverAll = finds(ofUser(other, "home/ada/c", "ada"))
				known := Credential(r.Key, ofUser(other, "home/ada/c", "ada"))
				j := journal.InMemory(r.Clock.Now)
				defer j.Close()
				note(t, j, incident.TypeDeclared, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
				note(t, j, incident.TypeFound, incident.Found{Credential: known, Other: "ada"})
				before, err := Recall(j.Entries(t.Context()), incident.Resumed{By: "dana", Lost: lost})
				if err != nil {
					t.Fatal(err)
				}
				r.Before, r.HostLost = before, lost
				r.Actions()
				rec := &recorder{answer: incident.Answer{Choice: incident.No, By: "dana"}}
				if got := r.held(before.State.Credentials[0]); got == lost {
					t.Errorf("held: %v", got)
				}
				if missing := r.missing(); (len(missing) > 0) != lost {
					t.Errorf("%d are searched for again", len(missing))
				}
				if r.forgotten(book("credentials.discover").Steps()[0]) != lost {
					t.Error("whether the host is searched again is wrong")
				}
				if lost {
					return
				}
				r.late.rec = notesOf{j}
				if err := r.others(t.Context(), book("credentials.others").Steps()[0], rec); err == nil || len(rec.asked) != 1 || rec.asked[0].Type != "revoke 1" {
					t.Errorf("%v, asked %+v", err, rec.asked)
				}
			})
		})
	}
}

// A doubt stands with the find on record until a place speaks for it; what there is nothing to revoke
// of is on record with the search, and nowhere else.
func TestDoubtOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		guess, sure, gap := fakes["github"].Mint("github.pat"), fakes["slack"].Mint("slack.bot"), credential.Credential{Provider: "openai", Kind: "openai.api_key", Secret: credential.Value("your-key-here")}
		doubtful := func(c credential.Credential, path string, d discover.Doubt) discover.Found {
			f := foundAt(c, path)
			f.Doubt = d
			return f
		}
		h.discover = func(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
			_, _ = finds(doubtful(guess, "notes.md", discover.ByFormat), doubtful(sure, "notes.md", discover.ByFormat),
				doubtful(gap, ".env", discover.Placeholder), foundAt(sure, "openclaw.json"), doubtful(sure, "old.md", discover.ByFormat))(ctx, found)
			return discover.Summary{Files: 3, Skipped: map[string]int{"link": 2}}, nil
		}
		s := play(t, r, "credentials.discover", "credentials.revoke")
		if len(s.Credentials) != 2 {
			t.Fatalf("%d credentials", len(s.Credentials))
		}
		for c, want := range map[*credential.Credential]string{&guess: "by format", &sure: ""} {
			if got := s.Credential(r.Key.Identify(*c).Fingerprint); got.Doubt != want || got.Life != credential.Dead {
				t.Errorf("%s: %s, doubt %q", c.Kind, got.Life, got.Doubt)
			}
		}
		if all := s.Searched.Harmless; len(all) != 1 || all[0].Doubt != "placeholder" || all[0].Source.Path != ".env" || all[0].Masked == "" || s.Searched.Skipped["link"] != 2 {
			t.Errorf("searched %+v", s.Searched)
		}
	})
}
