package tui

import (
	"strings"

	"clawback/forensics/incident"
)

// grounds are what the record holds that speaks for one way in, by the ids of the deciding step of the
// guided response. It decides nothing: that nothing is on record speaks against nothing.
func grounds(s incident.State, option string) string {
	var all []string
	add := func(n int, one, many string) {
		if n > 0 {
			all = append(all, plural(n, one, many))
		}
	}
	switch option {
	case "injection":
		shown := 0
		for _, c := range s.Credentials {
			for _, source := range c.Sources {
				if source.Note == "shown to the model" {
					shown++
					break
				}
			}
		}
		add(shown, "credential was shown to the model", "credentials were shown to the model")
	case "theft":
		before := 0
		for _, c := range s.Credentials {
			if c.Receipt.Already || c.Baseline.Outcome == "refused" {
				before++
			}
		}
		add(before, "credential was dead before it was revoked", "credentials were dead before they were revoked")
	case "host":
		if s.Lost != nil {
			all = append(all, "somebody found the host itself compromised")
		}
		if s.Frozen != nil && !s.Frozen.Complete {
			all = append(all, "not everything stood still when it was frozen")
		}
		if s.Checked != nil && !s.Checked.Down {
			all = append(all, "something started the agent again after it was killed")
		}
	default:
		return ""
	}
	if len(all) == 0 {
		return "on record: nothing that speaks for it"
	}
	return "on record: " + strings.Join(all, "; ")
}
