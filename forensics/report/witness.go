package report

import (
	"maps"
	"slices"

	"clawback/forensics/incident"
)

// witnesses are the newest words on each sink, by its name.
func witnesses(s incident.State) []incident.WitnessHeld {
	var all []incident.WitnessHeld
	for _, name := range slices.Sorted(maps.Keys(s.Witnesses)) {
		all = append(all, s.Witnesses[name])
	}
	return all
}

// witnesses says up to where the record is held off this machine.
func (p *page) witnesses(d Document) {
	all := d.Record.Witnesses
	if len(all) == 0 && (d.Mode != incident.Real || d.DryRun) {
		return // these are sent to nobody
	}
	if len(all) == 0 {
		p.say("No witness is on record: nothing says that this record is held anywhere but on the desk.")
		return
	}
	p.say("Off this machine, each witness by the newest word on it that this report covers. What came later is in the folder %s:", "witness/")
	for _, w := range all {
		what := words(incident.WitnessWord(w.Kind))
		switch {
		case w.Entries == 0:
			p.item("%s (%s): **nothing is known to have arrived.**", w.Sink, w.Kind)
		case w.Checkpoint == 0:
			p.item("%s (%s) %s entries 1 to %d, and no checkpoint.", w.Sink, w.Kind, what, w.Entries)
		default:
			p.item("%s (%s) %s entries 1 to %d, and checkpoints up to the one over the first %d.", w.Sink, w.Kind, what, w.Entries, w.Checkpoint)
		}
		switch w.Kind {
		case "syslog":
			p.sub("Syslog has no acknowledgement: the receiver's system took it, and whether the receiver kept it is not known here.")
		case "s3":
			if w.Entries > 0 {
				p.sub("The store answered that each object is locked in compliance mode.")
			}
		}
		if w.Error != "" {
			p.sub("**Problem:** %s", w.Error)
		}
	}
	p.end()
}
