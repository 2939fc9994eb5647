package tui

import (
	"fmt"
	"strings"

	"clawback/forensics/incident"
)

// endOfLines ends what is written line by line.
const endOfLines = "."

// lines takes an answer in writing, line by line. What was written and put off is gone on with.
func (l *lineConsole) lines(o *askOverlay, answer func(choice, text string)) {
	var all []string
	if before := o.text.String(); before != "" {
		all = strings.Split(before, "\n")
		l.say(fmt.Sprintf("You wrote %s before, and go on from there:", plural(len(all), "line", "lines")))
		for _, s := range all {
			l.say(s)
		}
	}
	l.put(&prompt{
		of: (need{question: &o.q}).key(), text: []string{"Write as many lines as it takes"}, ask: "A line, or a single " + endOfLines + " to end: ",
		take: func(text string) {
			text = cleanLines(text)
			switch {
			case text != endOfLines && len(strings.Join(append(all, text), "\n")) > incident.MaxAnswer:
				l.say(fmt.Sprintf("That line was not taken: the record takes %d bytes in one go. A single %s ends it.", incident.MaxAnswer, endOfLines))
				l.request()
			case text != endOfLines:
				all = append(all, text)
				o.text.text = []rune(strings.Join(all, "\n"))
				l.drafts[o.q.ID] = o.text // should the terminal be lost
				l.request()
			case strings.TrimSpace(strings.Join(all, "")) == "":
				l.drop()
				l.say("Nothing is written: it is still asked.")
				l.pose()
			default:
				answer(incident.Yes, strings.TrimSpace(strings.Join(all, "\n")))
			}
		},
	})
}
