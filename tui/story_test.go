package tui

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

var declaredAt = time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)

// story writes the entries of a record by hand.
type story struct {
	t       testing.TB
	at      time.Time
	entries []journal.Entry
}

func newStory(t testing.TB) *story { return &story{t: t, at: declaredAt} }

// after adds an entry some time after the one before.
func (s *story) after(d time.Duration, typ string, data any) {
	s.t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.at = s.at.Add(d)
	s.entries = append(s.entries, journal.Entry{
		V: journal.Version, Seq: uint64(len(s.entries) + 1), Time: s.at, Type: typ, Data: raw,
	})
}

func (s *story) add(typ string, data any) { s.t.Helper(); s.after(200*time.Millisecond, typ, data) }

func (s *story) begin(step string) { s.add(incident.TypeStepIntent, incident.StepIntent{Step: step}) }
func (s *story) end(step, status string) {
	o := incident.StepOutcome{Step: step, Status: status}
	if status == incident.Failed {
		o.Error, o.Hint = "dial the log sink: connection refused", "check sinks in clawback.yaml, then retry"
	}
	s.add(incident.TypeStepOutcome, o)
}
func (s *story) done(steps ...string) {
	for _, step := range steps {
		s.begin(step)
		s.end(step, incident.Done)
	}
}

func print(name string) credential.Fingerprint {
	sum := sha256.Sum256([]byte(name))
	return credential.Fingerprint(hex.EncodeToString(sum[:]))
}

func (s *story) found(provider, kind, masked string, more func(*incident.Found)) credential.Fingerprint {
	f := incident.Found{Credential: credential.Credential{
		Provider: provider, Kind: kind, Masked: masked, Fingerprint: print(provider + masked), Tier: 3,
		Sources: []credential.Source{{Path: "home/claw/.openclaw/openclaw.json", Locator: "channels." + provider + ".token", Line: 41}},
	}}
	if more != nil {
		more(&f)
	}
	s.add(incident.TypeFound, f)
	return f.Fingerprint
}

func (s *story) life(f credential.Fingerprint, l credential.Life, edit func(*incident.Life)) {
	v := incident.Life{Fingerprint: f, Life: l}
	if edit != nil {
		edit(&v)
	}
	s.add(incident.TypeLife, v)
}

// refused adds refusals over a span of a budget.
func (s *story) refused(f credential.Fingerprint, answer string, row int, span, budget time.Duration) {
	s.add(incident.TypeProbe, incident.Probe{Fingerprint: f, Outcome: "refused", Answer: answer, From: "bastion-2",
		Try: row, Row: row, SpanMS: span.Milliseconds(), BudgetMS: budget.Milliseconds()})
}

func (s *story) killed(f credential.Fingerprint, answer string) {
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: f})
	s.add(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Answer: "202 Accepted", Did: []string{"asked GitHub to revoke 6 tokens at once"}})
	s.refused(f, answer, 1, 0, 12*time.Second)
	s.refused(f, answer, 2, 6*time.Second, 12*time.Second)
	s.refused(f, answer, 3, 12*time.Second, 12*time.Second)
	s.life(f, credential.Dead, func(l *incident.Life) { l.Evidence = answer + " ×3 over 12 s, seen from bastion-2" })
}

var storyPlan = incident.Plan{Title: "suspected compromise", Phases: []incident.PlanPhase{
	{ID: "declare", Title: "Declare", Steps: []incident.PlanStep{
		{ID: "describe", Title: "Take stock of what brings the agent back", Uses: "host.describe", Gate: "auto", Why: "What restarts the agent has to be known before it is frozen."},
	}},
	{ID: "freeze", Title: "Freeze", Steps: []incident.PlanStep{
		{ID: "freeze", Title: "Freeze the agent", Uses: "agent.freeze", Gate: "confirm", Needs: []string{"describe"}, Why: "It stops acting within milliseconds, and its memory stays as it is."},
	}},
	{ID: "preserve", Title: "Preserve", Steps: []incident.PlanStep{
		{ID: "volatile", Title: "Capture what a reboot would lose", Uses: "evidence.volatile", Gate: "auto", Needs: []string{"freeze"}},
		{ID: "files", Title: "Capture logs, transcripts, configuration", Uses: "evidence.files", Gate: "auto", Needs: []string{"volatile"}},
	}},
	{ID: "revoke", Title: "Revoke", Steps: []incident.PlanStep{
		{ID: "discover", Title: "Find every credential", Uses: "credentials.discover", Gate: "auto", Needs: []string{"freeze"}},
		{ID: "revoke", Title: "Revoke all, prove each one dead", Uses: "credentials.revoke", Gate: "typed", Needs: []string{"freeze"},
			Irreversible: "What a provider revoked stays revoked.", Why: "Everything that the agent held counts as stolen."},
	}},
	{ID: "isolate", Title: "Isolate", Steps: []incident.PlanStep{
		{ID: "isolate", Title: "Cut the host off, our way in kept open", Uses: "host.isolate", Gate: "confirm", Needs: []string{"freeze"}},
	}},
	{ID: "kill", Title: "Kill, mask", Steps: []incident.PlanStep{
		{ID: "stop", Title: "Kill without a last word, disable, mask", Uses: "agent.stop", Gate: "auto", Needs: []string{"files", "revoke"}, Irreversible: "The agent's memory is gone with it."},
		{ID: "check", Title: "Verify that it stays down", Uses: "agent.check", Gate: "auto", Needs: []string{"stop"}},
	}},
	{ID: "analyse", Title: "Analyse", Steps: []incident.PlanStep{
		{ID: "timeline", Title: "Read the timeline", Uses: "person.guide", Gate: "auto", Needs: []string{"check"}},
		{ID: "cause", Title: "How did they get in?", Uses: "person.decide", Gate: "auto", Needs: []string{"timeline"}},
	}},
	{ID: "review", Title: "Review", Steps: []incident.PlanStep{
		{ID: "report", Title: "Write the report", Uses: "report.write", Gate: "auto", Needs: []string{"cause"}},
	}},
}}

// begun is an incident that was just declared.
func begun(t testing.TB) *story {
	s := newStory(t)
	s.add(incident.TypeDeclared, incident.Declared{
		Incident: "INC-20261122-0317", Mode: incident.Real, Playbook: "suspected-compromise", Target: "claw-prod-1",
		Remote: true, Attended: true, Responder: "dana", Desk: "bastion-2", Version: "test",
	})
	s.add(incident.TypePlan, storyPlan)
	return s
}

var stripeSteps = []string{"Open the dashboard's API keys", "Roll the key and let the old one expire now", "Put the new one nowhere yet"}

// underFire is the same incident in the middle of the revocation: 21 credentials in all their lives,
// a question and two credentials for a person.
func underFire(t testing.TB) *story {
	s := begun(t)
	s.done("describe")
	s.add(incident.TypeDescribed, incident.Described{Hostname: "claw-prod-1", Installations: []string{"/home/claw/.openclaw"}, Processes: 14, Revivers: []string{"openclaw.service"}})
	s.begin("freeze")
	s.add(incident.TypeFrozen, incident.Frozen{Processes: 14, TookMS: 31, Complete: true})
	s.end("freeze", incident.Done)
	s.done("volatile")
	s.begin("files")
	s.begin("discover")
	s.begin("revoke")
	s.done("isolate")
	s.add(incident.TypeSealed, incident.Sealed{Part: "volatile", Files: 212, Bytes: 1_400_000_000})

	stripe := s.found("stripe", "stripe.api_key", "sk_live_…9fQ2", func(f *incident.Found) {
		f.Manual, f.Steps, f.Link, f.Effect = true, stripeSteps, "https://dashboard.stripe.com/apikeys", "payments stop until the new key is in place"
		f.Owner = "acct_1Kx"
	})
	xapp := s.found("slack", "slack.app", "xapp-…77aa", func(f *incident.Found) {
		f.Manual, f.Steps, f.Link = true, []string{"Revoke the app-level token on the app's page"}, "https://api.slack.com/apps"
	})
	s.life(stripe, credential.Manual, nil)
	s.life(xapp, credential.Manual, nil)
	for _, m := range []string{"ghp_…1xQz", "ghp_…Tr7u", "ghp_…u81K", "gho_…Qw3e", "github_pat_…0aZb", "ghs_…77Tg"} {
		s.killed(s.found("github", "github.pat", m, nil), "401 Bad credentials")
	}
	bot := s.found("slack", "slack.bot", "xoxb-…81Lm", nil)
	s.killed(bot, "200 token_revoked")
	for _, m := range []string{"xoxb-…9PoI", "xoxp-…aK2s"} {
		s.killed(s.found("slack", "slack.bot", m, nil), "200 token_revoked")
	}
	aws := s.found("aws", "aws.access_key", "AKIA…N2QF", func(f *incident.Found) {
		f.Tier, f.Ref, f.Reversible = 4, map[string]string{"user": "deploy", "account": "123456789012"}, true
		f.Sources = append(f.Sources, credential.Source{Path: "home/claw/.aws/credentials", Locator: "default", Line: 2},
			credential.Source{Path: "home/claw/.openclaw/agents/main/sessions/0b.jsonl", Line: 881, Note: "shown to the model"})
	})
	s.add(incident.TypeBaseline, incident.Probe{Fingerprint: aws, Outcome: "alive", Answer: "200 arn:aws:iam::123456789012:user/deploy", From: "bastion-2", Account: "123456789012", Owner: "user/deploy", Reach: []string{"iam:*", "s3:*"}})
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: aws})
	s.add(incident.TypeReceipt, incident.Receipt{Fingerprint: aws, Answer: "200", Did: []string{"deny-all policy on user deploy", "access key set to Inactive"}, Left: []string{"session tokens minted before, up to 36 h, until the deny bites"}})
	s.refused(aws, "403 InvalidClientTokenId", 1, 0, time.Minute)
	s.refused(aws, "403 InvalidClientTokenId", 3, 22*time.Second, time.Minute)

	slow := s.found("aws", "aws.access_key", "AKIA…44TD", nil)
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: slow})
	s.add(incident.TypeReceipt, incident.Receipt{Fingerprint: slow, Answer: "200"})
	s.add(incident.TypeProbe, incident.Probe{Fingerprint: slow, Outcome: "alive", Answer: "200 GetCallerIdentity", From: "bastion-2", Try: 4})

	lives := s.found("gitlab", "gitlab.pat", "glpat-…c0Rr", nil)
	s.life(lives, credential.Alive, func(l *incident.Life) {
		l.Reason, l.Error, l.Hint = incident.ReasonProvider, "403 insufficient_scope: it lives", "its owner needs the api scope to revoke it"
	})
	vault := s.found("vault", "unknown", "hvs.…Zk1p", nil)
	s.life(vault, credential.Unverified, func(l *incident.Life) { l.Error = "503 sealed, try 3" })
	admin := s.found("anthropic", "anthropic.admin_key", "sk-ant-admin01-…Yy4R", nil)
	s.life(admin, credential.Failed, func(l *incident.Life) {
		l.Reason, l.Error, l.Hint = incident.ReasonAuthority, "no authority for anthropic", "add authorities.anthropic to clawback.yaml"
	})
	ours := s.found("github", "github.pat", "ghp_…dana", nil)
	s.life(ours, credential.Skipped, func(l *incident.Life) { l.Reason, l.Evidence = incident.ReasonOurs, "ours: never touched" })
	req := s.found("discord", "discord.bot", "…q7Ax", nil)
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: req})
	s.found("telegram", "telegram.bot", "…s0Wn", nil)
	s.add(incident.TypeAsked, incident.Question{ID: "q7", Step: "files", Kind: incident.Confirm, Title: "Capture 38 GB more?", Text: []string{"The sessions folder is larger than the limit of the playbook."}})
	return s
}

// doubtful is an incident whose search found guesses, what has expired, what another user keeps, and
// what there is nothing to revoke of.
func doubtful(t testing.TB) *story {
	s := begun(t)
	s.done("describe", "freeze")
	s.begin("revoke")
	guess := s.found("github", "github.pat", "ghp_…1a2B", func(f *incident.Found) {
		f.Doubt, f.Sources = "by format", []credential.Source{{Path: "home/claw/.openclaw/workspace/notes.md", Line: 7, Note: "looks like github.pat"}}
	})
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: guess})
	s.found("openai", "openai.api_key", "…x9Wq", func(f *incident.Found) {
		f.Doubt, f.Expires = "expired", time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	})
	other := s.found("aws", "aws.access_key", "AKIA…7QRS", func(f *incident.Found) {
		f.Tier, f.Other, f.Mints = 4, "ada", "access key, temporary session key"
		f.Sources = []credential.Source{{Path: "home/ada/.aws/credentials", Locator: "default", Line: 2}}
	})
	s.life(other, credential.Failed, func(l *incident.Life) { l.Reason, l.Error = incident.ReasonAuthority, "no authority for aws" })
	s.add(incident.TypeSearched, incident.Searched{Files: 212, Bytes: 9_000_000, Skipped: map[string]int{"link": 3}, Harmless: []incident.Harmless{
		{Provider: "openai", Kind: "openai.api_key", Masked: "…here", Doubt: "placeholder", Source: credential.Source{Path: "home/claw/.openclaw/.env", Line: 17}},
		{Provider: "stripe", Kind: "stripe.api_key", Masked: "pk_live_…Xk21", Doubt: "public key", Source: credential.Source{Path: "home/claw/.openclaw/openclaw.json", Locator: "env.vars.PK", Line: 45}},
	}})
	return s
}

// over is the same incident at its end.
func over(t testing.TB) *story {
	s := underFire(t)
	s.add(incident.TypeAnswered, incident.Answer{Question: "q7", Choice: incident.No, By: "dana"})
	s.end("files", incident.Done)
	s.end("discover", incident.Done)
	s.end("revoke", incident.Done)
	s.done("stop", "check", "timeline", "cause")
	s.begin("report")
	s.add(incident.TypeReport, incident.Report{Markdown: "report.md", JSON: "report.json"})
	s.end("report", incident.Done)
	s.add(incident.TypeClosed, incident.Closed{Exit: incident.ExitPartial})
	return s
}

var questions = map[string]incident.Question{
	"confirm": {ID: "q1", Step: "freeze", Kind: incident.Confirm, Title: "Freeze the agent", Text: []string{
		"It stops acting within milliseconds, and its memory stays as it is.", "14 processes of 1 installation at /home/claw/.openclaw."}},
	"typed": {ID: "q2", Step: "revoke", Kind: incident.Typed, Title: "Revoke 6 GitHub tokens", Type: "revoke 6", Text: []string{
		"GitHub mails the owner of each.", "Breaks: deploy-bot (inventory: production deploys), 5 not in inventory.",
		"Evidence of where they were found is sealed.", "What a provider revoked stays revoked."}},
	"choice": {ID: "q3", Step: "cause", Kind: incident.Choice, Title: "How did they get in?", Text: []string{
		"Why it matters: the last two also kill other users' credentials and forbid recovery in place."}, Options: []incident.Option{
		{ID: "injection", Title: "prompt injection", Text: "Content that the agent read told it what to do. The host itself is sound."},
		{ID: "theft", Title: "credential theft", Text: "Somebody used the agent's credentials, or its gateway, from elsewhere."},
		{ID: "host", Title: "the host itself", Text: "Somebody ran code on the host outside the agent."},
		{ID: "unknown", Title: "not known yet", Text: "treats the host as lost: the safe branch"},
	}},
	"written": wrote,
	"guide": {ID: "q4", Step: "timeline", Kind: incident.Guide, Title: "Read the timeline", Text: []string{
		"Look at evidence/files/data/home/claw/.openclaw/agents/main/sessions, newest first.",
		"Find the first command that nobody asked for, and what the model had read just before.",
		"Write down its time and the source of that content."}},
}

// wrote is a question that is answered in writing.
var wrote = incident.Question{ID: "q6", Step: "review", Kind: incident.Written, Title: "How did they get in?", Text: []string{
	"Answer in your words, as many lines as it takes. It stands in the report, with your name and the time.",
	"What is not known yet can stay open: the report lists it."}}

// askingFor is an incident that waits for the answer to one kind of question.
func askingFor(t testing.TB, kind string) *story {
	s := begun(t)
	s.done("describe")
	s.add(incident.TypeAsked, questions[kind])
	return s
}

// preserved is an incident whose evidence is sealed, stamped, put away and under a legal hold, with what is
// missing of it.
func preserved(t testing.TB) *story {
	s := underFire(t)
	hash := func(of string) string { return string(print(of)) }
	s.add(incident.TypeSealed, incident.Sealed{Part: "files", Path: "evidence/files.tar.zst", Files: 3120, Bytes: 940_000_000, Manifest: hash("m"), Digest: hash("d"), Package: hash("p"),
		Signer: "SHA256:2vQ8mXk5d1z", Verdicts: map[string]int{"stable": 3116, "grew": 3, "timeout": 1}, Left: []string{`"var/log/journal/x": 3 GB, over the limit`}, Problems: []string{"proc/12: gone"}})
	s.add(incident.TypeStamped, incident.Stamped{Item: "files", Package: hash("p"), File: "evidence/files.tar.zst.tsr", Time: s.at, By: "CN=TSA 1", Authority: "https://tsa.example"})
	s.add(incident.TypeDeposited, incident.Deposited{Item: "files", Package: hash("p"), Kind: "s3", Place: "s3://evidence/INC-20261122-0317", By: "dana", Error: "403 AccessDenied", Hint: "clawback custody deposit"})
	s.add(incident.TypeHold, incident.Hold{On: true, By: "dana", Why: "counsel asked for it"})
	s.add(incident.TypeWitness, incident.WitnessHeld{Sink: "siem", Kind: "syslog", Entries: 40, Checkpoint: 32})
	return s
}
