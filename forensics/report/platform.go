package report

import (
	"cmp"
	"strings"

	"clawback/forensics/incident"
)

// platforms is what was done to the machine from outside of it. A record without any has no section.
func (p *page) platforms(d Document) {
	if len(d.Platforms) == 0 && len(d.Snapshots) == 0 {
		return
	}
	p.heading("Outside of the machine (RS.MI-01)")
	p.say("The desk asked what the machine runs on, with the responder's authority, and read back what it did. None of this was said by the machine.")
	for _, at := range d.Platforms {
		p.platform(at)
	}
	for _, n := range d.Snapshots {
		p.say("### Copies of the disks of %s", n.On)
		for _, disk := range n.Disks {
			p.item("%s of the volume %s, %d GB, begun %s: %s. %s", disk.ID, disk.Volume, disk.GB, disk.Started, disk.State, whole(disk))
		}
		for _, volume := range n.Left {
			p.item("**None** is on record of the volume %s.", volume)
		}
		p.item("clawback deletes none of them. They cost until somebody does.")
		p.end()
	}
}

func whole(d incident.DiskSnapshot) words {
	if d.Completed() {
		return "The platform calls it whole."
	}
	return "**It was not whole when the platform was last asked**, and may have failed since."
}

func (p *page) platform(at incident.Platform) {
	p.say("### %s", at.On)
	for _, was := range at.Was {
		p.item("Before: %s %s had %s", was.Kind, was.ID, cmp.Or(strings.Join(was.Was, ", "), "none"))
	}
	p.done("Cut off", at.Done)
	if at.Done == nil {
		p.item("**What came of it is not on record:** it may be cut off, in part or not at all.")
	}
	if at.Undone != nil {
		p.done("Opened again", at.Undone)
	}
	p.end()
}

func (p *page) done(what words, d *incident.PlatformDone) {
	switch {
	case d == nil:
		return
	case d.Error != "":
		p.item("%s: **failed**, %s", what, d.Error)
	default:
		p.item("%s, as read back:", what)
	}
	for _, line := range d.Proof {
		p.sub("%s", line)
	}
	if d.WayIn != "" {
		p.sub("the desk's way in afterwards: %s", d.WayIn)
	}
	if d.Lost != "" {
		p.sub("**The desk could not come back:** %s", d.Lost)
	}
	for _, line := range d.Left {
		p.sub("**In spite of it:** %s", line)
	}
}
