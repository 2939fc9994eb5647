package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// screenPart is how much of a string GNU screen lets through in one piece, with room for what surrounds it:
// 768 bytes, of which the rest would be printed.
const screenPart = 700

// toClipboard is what a terminal has to be sent so that a text is on the clipboard of whoever sits at it
// (OSC 52), also through what stands between.
//
// tmux takes the sequence itself with "set-clipboard on", and hands on what is wrapped for it with
// "allow-passthrough on"; with neither, as it comes, it does nothing (man tmux), so the link always stands on
// the screen as well. GNU screen hands on what is wrapped for it ("String Escapes" in its manual), in pieces.
// Over ssh nothing but TERM tells of them, and TERM=screen may be either of the two.
func toClipboard(text string, getenv func(string) string) string {
	plain := ansi.SetSystemClipboard(text)
	term := getenv("TERM")
	switch {
	case getenv("TMUX") != "", strings.HasPrefix(term, "tmux"):
		return plain + ansi.TmuxPassthrough(plain)
	case getenv("STY") != "", strings.HasPrefix(term, "screen") && len(plain) > screenPart:
		return ansi.ScreenPassthrough(plain, screenPart)
	case strings.HasPrefix(term, "screen"):
		return plain + ansi.ScreenPassthrough(plain, screenPart)
	}
	return plain
}

func (c *console) copyLink(cred *incident.Credential) tea.Cmd {
	link := linkOf(cred)
	c.copied[cred.Fingerprint] = true
	return c.work.cmd(func() tea.Msg {
		_, err := c.o.Output.Write([]byte(toClipboard(link, c.o.Getenv)))
		return copiedMsg{link, err}
	})
}

// linkInSight is the page of what is selected, which stands on a row of its own: a clipboard that is out of
// reach leaves the mouse.
func (c *console) linkInSight() string {
	if c.top() != nil {
		return ""
	}
	var cred *incident.Credential
	switch c.screen {
	case &c.run:
		cred = c.run.current(c).credential()
	case &c.detail:
		cred = c.rec.Credential(c.detail.of)
	}
	if cred == nil {
		return ""
	}
	return linkOf(cred)
}
