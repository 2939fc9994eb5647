package report_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// recording writes a record by a clock of its own.
type recording struct {
	t   *testing.T
	now time.Time
	j   *journal.Journal
}

var began = time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)

func record(t *testing.T) *recording {
	r := &recording{t: t, now: began}
	r.j = journal.InMemory(func() time.Time { return r.now })
	return r
}

// at moves the clock to so long after the declaration.
func (r *recording) at(after time.Duration) *recording { r.now = began.Add(after); return r }

func (r *recording) note(typ string, data any) *recording {
	r.t.Helper()
	if err := r.j.Note(typ, data); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// entries ends the record and returns it.
func (r *recording) entries() []journal.Entry {
	r.t.Helper()
	if err := r.j.Close(); err != nil {
		r.t.Fatal(err)
	}
	var all []journal.Entry
	for cursor := r.j.Cursor(); ; {
		e, err := cursor.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, e)
	}
}

func seq(all []journal.Entry) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func fold(all []journal.Entry) incident.State {
	s, _ := incident.FoldAll(seq(all))
	return s
}

func print8(s string) credential.Fingerprint {
	return credential.Fingerprint(strings.Repeat(s, 64/len(s)))
}

func (r *recording) declare(change func(*incident.Declared)) *recording {
	d := incident.Declared{
		Incident: "INC-20261122-0317", Mode: incident.Real, Playbook: "kill-switch", Target: "root@web-1", Remote: true,
		Responder: "alice", Desk: "bastion-2", Version: "0.1.0",
	}
	if change != nil {
		change(&d)
	}
	return r.note(incident.TypeDeclared, d)
}

func (r *recording) plan(steps ...incident.PlanStep) *recording {
	return r.note(incident.TypePlan, incident.Plan{Title: "Kill switch", Phases: []incident.PlanPhase{{ID: "all", Title: "All", Steps: steps}}})
}

func step(id, title, uses string) incident.PlanStep {
	return incident.PlanStep{ID: id, Title: title, Uses: uses}
}

func (r *recording) done(step string) *recording {
	return r.note(incident.TypeStepIntent, incident.StepIntent{Step: step}).
		note(incident.TypeStepOutcome, incident.StepOutcome{Step: step, Status: incident.Done})
}

func (r *recording) failed(step, err, hint string, gate bool) *recording {
	return r.note(incident.TypeStepIntent, incident.StepIntent{Step: step}).
		note(incident.TypeStepOutcome, incident.StepOutcome{Step: step, Status: incident.Failed, Error: err, Hint: hint, Gate: gate})
}

// host records what a host says that does as it is told.
func (r *recording) host() *recording {
	return r.at(200*time.Millisecond).note(incident.TypeDescribed, incident.Described{
		Hostname: "web-1", Kernel: "6.12.0", ClockAheadMS: -1250, Processes: 14,
		Installations: []string{"/home/claw/.openclaw of claw (generation A)"},
		Units:         []string{"openclaw.service (system, active): runs the gateway"},
		Revivers:      []string{"restart openclaw.service: always", "linger claw (ask root)"},
	}).at(431*time.Millisecond).note(incident.TypeFrozen, incident.Frozen{
		Processes: 14, TookMS: 31.4, Complete: true, How: []string{"cgroup freezer of openclaw.service"},
		Proof: []string{"cgroup.events frozen 1"},
	})
}

func (r *recording) sealed(part string, files int, size int64) *recording {
	return r.note(incident.TypeSealed, incident.Sealed{
		Part: part, Path: "evidence/" + part + ".tar.zst", Files: files, Bytes: size, Package: strings.Repeat("c2", 32),
		Manifest: strings.Repeat("0a", 32), Digest: strings.Repeat("b1", 32),
		Verdicts: map[string]int{"stable": files - 3, "grew": 3}, Left: []string{"/home/claw/big.iso: larger than the budget"},
	})
}

func (r *recording) down() *recording {
	return r.note(incident.TypeStopped, incident.Stopped{Killed: 14, Did: []string{"drop-in 90-clawback.conf: Restart=no", "SIGKILL"}, Held: []string{"queue/7.json"}}).
		note(incident.TypeChecked, incident.Checked{Down: true, Proof: []string{"no process of the agent", "openclaw.service is masked"}})
}

func found(provider, kind, masked, print string) incident.Found {
	return incident.Found{Credential: credential.Credential{
		Provider: provider, Kind: kind, Masked: masked, Fingerprint: print8(print), Tier: 3,
		Sources: []credential.Source{{Path: "home/claw/.openclaw/openclaw.json", Line: 12, Locator: "channels." + provider}},
	}}
}

// killed records a credential's way from its discovery to refusals over its budget.
func (r *recording) killed(f incident.Found, aliveBefore bool) *recording {
	start := r.now.Sub(began)
	outcome, answer := "alive", "200 login=deploy-bot"
	if !aliveBefore {
		outcome, answer = "refused", "401 Bad credentials"
	}
	r.note(incident.TypeFound, f)
	r.note(incident.TypeBaseline, incident.Probe{Fingerprint: f.Fingerprint, Outcome: outcome, Answer: answer, From: "bastion-2",
		Account: "acme", Owner: "deploy-bot", Reach: []string{"repo", "workflow"}})
	r.note(incident.TypeRevoke, incident.Revoke{Fingerprint: f.Fingerprint, Batch: 2})
	r.at(start+300*time.Millisecond).note(incident.TypeReceipt, incident.Receipt{Fingerprint: f.Fingerprint, Answer: "202 Accepted"})
	if aliveBefore {
		r.at(start+time.Second).probe(f, "alive", "200 login=deploy-bot", 0, 0)
	}
	for i := range 4 {
		r.at(start+time.Duration(2+4*i)*time.Second).probe(f, "refused", "401 Bad credentials", i+1, 4*i)
	}
	return r.note(incident.TypeLife, incident.Life{Fingerprint: f.Fingerprint, Life: credential.Dead, Weak: !aliveBefore,
		Evidence: "401 Bad credentials ×4 over 12s, seen from bastion-2"})
}

func (r *recording) probe(f incident.Found, outcome, answer string, row, span int) *recording {
	return r.note(incident.TypeProbe, incident.Probe{Fingerprint: f.Fingerprint, Outcome: outcome, Answer: answer, From: "bastion-2",
		Try: row, Row: row, SpanMS: int64(span) * 1000, BudgetMS: 12000})
}

func (r *recording) life(f incident.Found, l credential.Life, reason, err, hint string) *recording {
	return r.note(incident.TypeLife, incident.Life{Fingerprint: f.Fingerprint, Life: l, Reason: reason, Error: err, Hint: hint})
}

func (r *recording) searched() *recording {
	return r.note(incident.TypeSearched, incident.Searched{Files: 212, Bytes: 1_400_000})
}

var wholePlan = []incident.PlanStep{
	step("stock", "Take stock", "host.describe"), step("freeze", "Freeze the agent", "agent.freeze"),
	step("files", "Capture logs", "evidence.capture"), step("revoke", "Revoke all", "credentials.revoke"),
	step("stop", "Kill the agent", "agent.stop"), step("stays-down", "See that it stays down", "agent.check"),
	step("report", "Write the report", "report.write"),
}

// histories are the records that the goldens are made of.
var histories = map[string]func(*testing.T) []journal.Entry{
	"approved": func(t *testing.T) []journal.Entry {
		r := record(t).declare(func(d *incident.Declared) {
			d.Severity, d.Ticket, d.Roles = 1, "CHG-4711", map[string]string{"commander": "dana", "legal": "lee"}
		}).plan(incident.PlanStep{ID: "a", Title: "Revoke", Approvals: 2}, incident.PlanStep{ID: "b", Title: "Stop", Approvals: 1})
		r.note(incident.TypeApproval, incident.ApprovalAsked{Step: "a", Needs: 2, Binds: "d1", By: "dana"})
		r.note(incident.TypeApproval, incident.ApprovalAsked{Step: "b", Needs: 1, Binds: "d2", By: "dana"})
		r.note(incident.TypeApproved, incident.Approved{Step: "a", By: "bob", Key: "SHA256:b", Binds: "d1", Message: "m", Signature: "s"})
		r.note(incident.TypeBreakGlass, incident.BreakGlass{Step: "a", By: "dana", Reason: "nobody answers"}).done("a")
		r.note(incident.TypeApproved, incident.Approved{Step: "a", By: "carol", Key: "SHA256:c", Binds: "other", Message: "m", Signature: "s"})
		r.note(incident.TypeBreakGlass, incident.BreakGlass{Step: "b", By: "dana", Reason: "nobody answers"}).done("b")
		r.note(incident.TypeApproved, incident.Approved{Step: "b", By: "carol", Key: "SHA256:c", Binds: "d2", Message: "m", Signature: "s", Late: true})
		r.note(incident.TypeRefused, incident.InboxRefused{File: "x.json", Why: "it is for another incident"})
		return r.note(incident.TypeNote, incident.Note{Text: "called the bank", By: "bob", Signed: &incident.Signed{Key: "SHA256:b"}}).entries()
	},
	"custody": func(t *testing.T) []journal.Entry {
		r := record(t).declare(func(d *incident.Declared) { d.Roles = map[string]string{"scribe": "dana"} }).plan(wholePlan...)
		r.note(incident.TypeHold, incident.Hold{On: true, By: "dana", Why: "matter 2026-17 | asked for by *counsel*"})
		r.host().at(2*time.Second).sealed("files", 212, 1_400_000_000)
		digest := strings.Repeat("c2", 32)
		r.note(incident.TypeStamped, incident.Stamped{Item: "files", Package: digest, Authority: "https://tsa.example.com", Error: "no answer within 10s"})
		r.note(incident.TypeStamped, incident.Stamped{Item: "files", Package: digest, Authority: "https://tsa.example.com", File: "evidence/files.tar.zst.tsr",
			SHA256: strings.Repeat("d3", 32), Time: began.Add(time.Minute), By: "CN=Time Stamping Authority", Policy: "1.2.3", Serial: "7"})
		kept := incident.DepositedFile{Name: "files.tar.zst", SHA256: digest, Bytes: 7, Version: "v1", Until: began.AddDate(1, 0, 0), Hold: true, Proof: []string{"downloaded again"}}
		r.note(incident.TypeDeposited, incident.Deposited{Item: "files", Package: digest, Kind: "s3", Place: "s3://vault/INC", By: "dana", Files: []incident.DepositedFile{kept}})
		r.note(incident.TypeDeposited, incident.Deposited{Item: "files", Package: digest, Kind: "directory", Place: "/mnt/worm/INC", By: "dana", Error: "no space left on device"})
		r.at(48*time.Hour).note(incident.TypeTransfer, incident.Transfer{Item: "files", From: "dana, scribe", To: "Carol <b>, counsel", Purpose: "review", At: began.Add(24 * time.Hour), By: "dana"})
		r.note(incident.TypeAccess, incident.Access{Item: "files", Who: "Dan, analyst", Purpose: "timeline", At: began.Add(30 * time.Hour), By: "dana"})
		return r.note(incident.TypeHold, incident.Hold{By: "lee", Why: "settled"}).entries()
	},
	"inventory": func(t *testing.T) []journal.Entry {
		r := record(t).declare(nil).plan(wholePlan...)
		pat := incident.InventoryItem{Provider: "github", Masked: "ghp_…1xQz", Owner: "platform team", Purpose: "production deploys",
			Data: []string{"source code"}, Breaks: "deploy-bot", Review: "2026-12-01"}
		r.note(incident.TypeInventory, incident.Inventory{Items: []incident.InventoryItem{pat, {Provider: "stripe", KeyID: "mk_1", Owner: "finance | *x*"}}})
		f := found("github", "github.pat", "ghp_…1xQz", "a1")
		r.note(incident.TypeFound, f).note(incident.TypeInventoried, incident.Inventoried{Fingerprint: f.Fingerprint, Item: pat})
		r.note(incident.TypeSearched, incident.Searched{Files: 212, Bytes: 4096})
		r.note(incident.TypeCommand, incident.Command{Kind: incident.Skip, Credential: f.Fingerprint, Text: "the shop would stop", By: "dana"})
		r.note(incident.TypeLife, incident.Life{Fingerprint: f.Fingerprint, Life: credential.Skipped, Reason: incident.ReasonDecision, Error: "left alone by a decision"})
		added := found("slack", "slack.bot", "xoxb-…81Lm", "b2")
		added.Sources = []credential.Source{{Path: "what dana added", Note: "from the wiki"}}
		r.note(incident.TypeCommand, incident.Command{Kind: incident.Add, Credential: added.Fingerprint, Text: "slack.bot xoxb-…81Lm, from the wiki", By: "dana"})
		r.killed(added, true)
		return r.entries()
	},
	"contained": func(t *testing.T) []journal.Entry {
		r := record(t).declare(nil).plan(wholePlan...)
		r.host().done("stock").done("freeze").at(2*time.Second).sealed("files", 212, 1_400_000_000).done("files")
		gateway := found("openclaw", "openclaw.gateway", "…", "e5")
		r.note(incident.TypeFound, gateway).note(incident.TypeLife, incident.Life{Fingerprint: gateway.Fingerprint, Life: credential.Requested,
			Evidence: "accepted by the agent's own gateway alone: it dies when that is down for good"})
		r.killed(found("github", "github.pat", "ghp_…1xQz", "a1"), true)
		r.killed(found("github", "github.pat", "ghp_…Tr7u", "b2"), false)
		aws := found("aws", "aws.access_key", "AKIA…N2QF", "c3")
		aws.Ref = map[string]string{"id": "AKIAEXAMPLE", "account": "123456789012"}
		r.killed(aws, true)
		r.note(incident.TypeReceipt, incident.Receipt{Fingerprint: aws.Fingerprint, Answer: "200", Did: []string{"deny-all policy on user deploy", "key set to Inactive"}})
		r.note(incident.TypeLife, incident.Life{Fingerprint: aws.Fingerprint, Life: credential.Dead, Evidence: "403 InvalidClientTokenId ×4 over 12s, seen from bastion-2"})
		r.searched().done("revoke").at(50 * time.Second).down().done("stop").done("stays-down")
		r.note(incident.TypeLife, incident.Life{Fingerprint: gateway.Fingerprint, Life: credential.Dead, Evidence: "the gateway that accepted it is down: no process"})
		return r.done("report").at(51*time.Second).note(incident.TypeClosed, incident.Closed{Exit: 0}).entries()
	},
	"partial": func(t *testing.T) []journal.Entry {
		guided := append(wholePlan[:6:6], step("timeline", "Find the first thing", "person.guide"), step("root-cause", "How did they get in?", "person.decide"),
			step("review", "Review", "person.guide"), step("report", "Write the report", "report.write"))
		r := record(t).declare(func(d *incident.Declared) {
			d.Playbook, d.Accepted, d.Attended = "suspected-compromise", []string{"authority-on-suspect-host"}, true
		}).plan(guided...).host().done("stock").done("freeze").sealed("files", 30, 1_000_000).done("files")
		r.killed(found("github", "github.pat", "ghp_…1xQz", "a1"), true)
		gitlab := found("gitlab", "gitlab.pat", "glpat-…c0", "b2")
		r.note(incident.TypeFound, gitlab).life(gitlab, credential.Alive, incident.ReasonProvider, "it still answers: 403 insufficient_scope",
			"its owner needs api scope")
		stripe := found("stripe", "stripe.api_key", "sk_live_…9fQ2", "c3")
		stripe.Manual, stripe.Link, stripe.Steps = true, "https://dashboard.stripe.com/apikeys", []string{"Roll the key, expire it now", "Come back and say so"}
		r.note(incident.TypeFound, stripe).life(stripe, credential.Manual, incident.ReasonProvider, "only a person can revoke it", "Roll the key: https://dashboard.stripe.com/apikeys")
		slack := found("slack", "slack.bot", "xoxb-…81", "d4")
		r.note(incident.TypeFound, slack).note(incident.TypeRevoke, incident.Revoke{Fingerprint: slack.Fingerprint}).
			life(slack, credential.Failed, incident.ReasonAuthority, "slack refuses the authority: missing_scope", "renew the authority for slack")
		aws := found("aws", "aws.session", "ASIA…44TD", "e5")
		r.killed(aws, true).note(incident.TypeReceipt, incident.Receipt{Fingerprint: aws.Fingerprint, Answer: "200", Left: []string{"role sessions minted before, up to 36 h"}})
		r.note(incident.TypeLife, incident.Life{Fingerprint: aws.Fingerprint, Life: credential.Dead, Evidence: "403 ×4 over 12s"})
		ours := found("github", "github.fine_grained", "github_pat_…you1", "f6")
		r.note(incident.TypeFound, ours).life(ours, credential.Skipped, incident.ReasonOurs, "it is the responder's own", "revoke it with another authority")
		r.note(incident.TypeSearched, incident.Searched{Files: 40, Bytes: 9000, Problems: []string{"/root: permission denied"}})
		r.done("revoke").at(time.Minute).failed("stop", "kill the agent on root@web-1: no bus", "power the machine off", false)
		r.note(incident.TypeStepOutcome, incident.StepOutcome{Step: "stays-down", Status: incident.Skipped, Note: "the agent was not killed"})
		r.note(incident.TypeCommand, incident.Command{Kind: incident.Retry, Credential: gitlab.Fingerprint, By: "alice"})
		r.note(incident.TypeNote, incident.Note{Text: "Called the owner of gitlab.\nNo answer.", By: "bob"})
		r.note(incident.TypeWarning, incident.Warning{Text: "the connection was lost for 3 s", Hint: "nothing: it came back"})
		ask := func(id, step, kind, title string, options []incident.Option, a incident.Answer) {
			a.Question, a.By = id, "alice"
			r.at(2*time.Minute).note(incident.TypeAsked, incident.Question{ID: id, Step: step, Kind: kind, Title: title, Options: options}).
				at(3*time.Minute).note(incident.TypeAnswered, a)
		}
		ask("q1", "timeline", incident.Guide, "Find the first thing", nil,
			incident.Answer{Choice: incident.Yes, Text: "02:51:07 a page was read, 02:51:09 exec ran curl http://203.0.113.9/x"})
		r.done("timeline")
		ask("q2", "root-cause", incident.Choice, "How did they get in?", []incident.Option{{ID: "injection", Title: "Prompt injection"}, {ID: "unknown", Title: "Not known yet"}},
			incident.Answer{Choice: "injection"})
		r.done("root-cause")
		ask("q3", "review", incident.Guide, "Review", nil, incident.Answer{Choice: incident.Later})
		r.note(incident.TypeStepOutcome, incident.StepOutcome{Step: "review", Status: incident.Skipped, Note: "left open by alice"})
		return r.done("report").note(incident.TypeClosed, incident.Closed{Exit: 3}).entries()
	},
	"drill": func(t *testing.T) []journal.Entry {
		r := record(t).declare(func(d *incident.Declared) {
			d.Mode, d.Scenario, d.Seed, d.Speed, d.Remote = incident.Drill, "stolen-keys", 7, 10, false
		}).plan(wholePlan...).host().done("stock").done("freeze").sealed("files", 30, 1_000_000).done("files")
		r.killed(found("github", "github.pat", "ghp_…1xQz", "a1"), true).searched().done("revoke").down().done("stop").done("stays-down")
		r.note(incident.TypeAdversary, incident.Adversary{CallsAfterAlarm: 7})
		ask := incident.Question{ID: "q1", Step: "review", Kind: incident.Guide, Title: "Review"}
		r.note(incident.TypeAsked, ask).note(incident.TypeAnswered, incident.Answer{Question: "q1", Choice: incident.Yes, By: "alice",
			Text: "They got in by a page. Keys were used seven times.\n\nNothing stopped the agent from reading its own keys; a broker would have."})
		return r.done("report").note(incident.TypeClosed, incident.Closed{Exit: 0}).entries()
	},
	"interrupted": func(t *testing.T) []journal.Entry {
		r := record(t).declare(func(d *incident.Declared) { d.Remote = false }).plan(wholePlan...).host().done("stock").done("freeze")
		github := found("github", "github.pat", "ghp_…1xQz", "a1")
		r.note(incident.TypeFound, github).note(incident.TypeRevoke, incident.Revoke{Fingerprint: github.Fingerprint})
		r.note(incident.TypeReceipt, incident.Receipt{Fingerprint: github.Fingerprint, Answer: "202 Accepted"}).probe(github, "refused", "401 Bad credentials", 1, 0)
		r.note(incident.TypeFound, found("slack", "slack.bot", "xoxb-…81", "d4"))
		r.note(incident.TypeStepIntent, incident.StepIntent{Step: "revoke"})
		return r.at(4*time.Second).note(incident.TypeInterrupted, incident.Interrupted{Signal: "interrupt"}).entries()
	},
	"nothing-found": func(t *testing.T) []journal.Entry {
		r := record(t).declare(nil).plan(wholePlan...)
		r.note(incident.TypeDescribed, incident.Described{Hostname: "web-1", Installations: []string{}}).done("stock")
		r.failed("freeze", "freeze the agent on root@web-1: no process of it", "the agent may still act: cut its network", false)
		r.failed("files", "preserve the files evidence of root@web-1: no space left", "make room at the desk", true)
		r.searched().done("revoke")
		return r.at(5*time.Second).note(incident.TypeClosed, incident.Closed{Exit: 1}).entries()
	},
	"loss-of-record": func(t *testing.T) []journal.Entry {
		r := record(t).declare(nil).plan(wholePlan...).host().done("stock").done("freeze").sealed("files", 30, 1_000_000).done("files")
		r.at(time.Second).note(journal.TypeTrouble, journal.Trouble{Error: "the record is not on disk: write journal.jsonl: no space left on device"})
		r.killed(found("github", "github.pat", "ghp_…1xQz", "a1"), true).searched().done("revoke").down().done("stop").done("stays-down")
		return r.done("report").note(incident.TypeClosed, incident.Closed{Exit: 3}).entries()
	},
	"review": func(t *testing.T) []journal.Entry {
		ask := step("review", "Review", "person.guide")
		ask.With = map[string]any{"questions": append(slices.Clone(incident.ReviewQuestions), "Who has to be told?")}
		guided := append(slices.Clone(wholePlan[:len(wholePlan)-1]), ask, step("report", "Write the report", "report.write"))
		r := record(t).declare(func(d *incident.Declared) { d.Playbook, d.Attended = "suspected-compromise", true }).plan(guided...).host().done("stock").done("freeze").sealed("files", 30, 1_000_000).done("files")
		r.killed(found("github", "github.pat", "ghp_…1xQz", "a1"), true).searched().done("revoke").down().done("stop").done("stays-down")
		r.note(incident.TypeStepIntent, incident.StepIntent{Step: "review"})
		put := func(id, title string, a incident.Answer) {
			a.Question = id
			r.at(2*time.Minute).note(incident.TypeAsked, incident.Question{ID: id, Step: "review", Kind: incident.Written, Title: title}).
				at(3*time.Minute).note(incident.TypeAnswered, a)
		}
		put("q1", incident.ReviewQuestions[0], incident.Answer{Choice: incident.Yes, By: "alice", Text: "By a mail that the agent read at 02:51.\n\nIt asked for \"the keys\"; the agent sent them."})
		put("q2", incident.ReviewQuestions[1], incident.Answer{Choice: incident.Yes, By: "bob", Text: "Two repositories.", Signed: &incident.Signed{Key: "SHA256:2vQ8mXk5d1z"}})
		put("q3", incident.ReviewQuestions[2], incident.Answer{Choice: incident.Later, By: "alice", Text: "ask the mail team"})
		put("q4", incident.ReviewQuestions[3], incident.Answer{Choice: incident.Later, By: "alice"})
		r.note(incident.TypeStepOutcome, incident.StepOutcome{Step: "review", Status: incident.Skipped, Note: "3 of 5 questions left open by alice"})
		return r.done("report").note(incident.TypeClosed, incident.Closed{Exit: 0}).entries()
	},
	"dry-run": func(t *testing.T) []journal.Entry {
		return record(t).declare(func(d *incident.Declared) { d.DryRun = true }).plan(wholePlan...).entries()
	},
}
