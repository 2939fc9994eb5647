package tui

import (
	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// glossary says what the words on the screens mean: the states first, by their marks.
func glossary(w int) []line {
	out := []line{nil, row(span{strong, "Words"})}
	say := func(m mark, meaning string) {
		for i, l := range wrap(meaning, w-15) {
			head := row(span{plain, column("", 15)})
			if i == 0 {
				head = row(span{m.look, m.symbol + " " + column(m.word, 13)})
			}
			out = append(out, append(head, span{plain, l}))
		}
	}
	for _, life := range lifeOrder {
		say(lifeMark(life), lifeMeanings[life])
	}
	say(unknown, "its revocation was sent by a run that died before the answer: look, then decide")
	say(harmlessMark, "looks like a credential, and there is nothing to revoke")
	for _, status := range stepOrder {
		say(stepMark(status), stepMeanings[status])
	}
	for _, t := range terms {
		say(mark{" ", t.word, strong}, t.meaning)
	}
	return out
}

var lifeOrder = []credential.Life{
	credential.Found, credential.Requested, credential.Accepted, credential.Propagating, credential.Dead, credential.Alive,
	credential.Manual, credential.Unverified, credential.Failed, credential.Skipped,
}

var lifeMeanings = map[credential.Life]string{
	credential.Found:       "in the agent's reach; nothing was asked for yet",
	credential.Requested:   "its provider was asked to end it, and has not answered",
	credential.Accepted:    "its provider said yes; it may still work",
	credential.Propagating: "refused, and not yet for as long as its provider may lag",
	credential.Dead:        "refused again and again, over the time that its provider needs: proved",
	credential.Alive:       "it still works",
	credential.Manual:      "only a person can end it: its provider has no call for that",
	credential.Unverified:  "its end was asked for, and no answer proves it",
	credential.Failed:      "its end could not be asked for, so it lives",
	credential.Skipped:     "left alone: ours, or by a decision",
}

var stepOrder = []string{incident.Waiting, asking, approving, incident.Running, incident.Done, incident.Failed, incident.Skipped}

var stepMeanings = map[string]string{
	incident.Waiting: "not begun: something before it is not over",
	asking:           "waits for your answer; nothing of it was done",
	approving:        "waits for other people to approve it",
	incident.Running: "under way",
	incident.Done:    "over, as it should be",
	incident.Failed:  "over, not as it should be; the rest went on",
	incident.Skipped: "not needed here: its reason stands on the plan",
}

var terms = []struct{ word, meaning string }{
	{"frozen", "the agent stands still; its memory, files and connections are as they were. It can be undone"},
	{"isolated", "the machine is cut off the network but for the desk. Root on it can undo that"},
	{"sealed", "evidence that lies at the desk with its hashes: a change shows"},
	{"witness", "whoever else holds the record: nobody changes it unseen up to there"},
	{"break glass", "to go ahead without the approvals that a step asks for; it stands in the report"},
	{"ours", "a credential of the responder: never touched"},
}
