package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// noUndo says why the revocation of a credential cannot be taken back now, and "" where it can.
func noUndo(c *incident.Credential) string {
	switch {
	case c.Undoing != nil:
		return "its revocation is being taken back"
	case c.Life == credential.Requested:
		return "its revocation is under way"
	case spared(c) && c.Decision.Kind == incident.TakeBack:
		return "its revocation was taken back: r revokes it again"
	case spared(c):
		return "it was left alone: r revokes it after all"
	case c.Receipt.Answer == incident.AnswerByHand:
		return "a person revoked it, and only they can give it back: r asks for it again"
	case len(c.Receipt.Did) == 0:
		return "no call of clawback's revoked it"
	case !c.Reversible:
		return "its provider cannot take the revocation back: it has to be issued anew"
	}
	return ""
}

// undoClosed is closed, with the command that takes a revocation back after the end.
func (c *console) undoClosed(cred *incident.Credential) string {
	if c.rec.active() || c.rec.Declared.Mode != incident.Real || noUndo(cred) != "" {
		return c.closed()
	}
	return "it is over: clawback undo " + c.rec.Declared.Incident + " " + cred.Fingerprint.Short() + " --why REASON"
}

// undoIt takes the revocation of a credential back, after a false alarm.
func undoIt(c *console, cred *incident.Credential) *promptOverlay {
	text := []string{"It will work again, for whoever holds it, and the response leaves it alone. r revokes it again."}
	for _, did := range cred.Receipt.Did {
		text = append(text, "Done when it was revoked: "+did+".")
	}
	return &promptOverlay{
		head: "Take back the revocation of " + cred.String(), label: "undo it", careful: true,
		text:  append(text, "Why? It stands in the record."),
		sure:  confirmation{want: "undo " + cred.Fingerprint.Short()},
		after: "It will work again.",
		do: func(why string) tea.Cmd {
			return c.command(cred, incident.TakeBack, why, "its revocation is to be taken back: "+cred.String())
		},
	}
}
