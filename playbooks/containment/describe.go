package containment

import (
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"clawback/forensics/agents/openclaw"
)

// Describe tells what runs the agent and what may bring it back. It changes nothing.
func (a *Agent) Describe(ctx context.Context) (Description, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.visit(ctx)
	if err != nil {
		return Description{}, err
	}
	defer v.close()
	d := Description{Now: time.Now()}
	v.machine(&d)
	v.locate()
	v.findUnits(ctx, nil)
	mains, err := v.processes(ctx)
	if err != nil {
		return d, err
	}
	v.findUnits(ctx, mains)
	if d.Processes, err = v.processes(ctx); err != nil {
		return d, err
	}
	d.Installations, d.Problems = v.installed, v.unread
	for _, u := range v.units {
		d.Units = append(d.Units, u.Unit)
		d.Revivers = append(d.Revivers, revivers(u.Unit)...)
		if u.Removed {
			d.Problems = append(d.Problems, openclaw.Problem{Path: u.Name, Reason: u.Manager + " removes it with its files when it ends (--rm): copy them out first"})
		}
	}
	d.Revivers = append(d.Revivers, v.linger()...)
	d.Revivers = append(d.Revivers, v.cron()...)
	d.Revivers = append(d.Revivers, otherContainers(d.Processes, v.units)...)
	d.Changed = v.changed()
	if iso := a.sys.Isolator(); iso != nil {
		if d.Walls, err = iso.Standing(ctx); err != nil {
			d.Walls = append(d.Walls, "isolation: not known: "+err.Error())
		}
		for _, s := range v.Spaces {
			d.Walls = append(d.Walls, "the network of process "+s.Who+": cut off")
		}
		for _, l := range v.Links {
			d.Walls = append(d.Walls, l.String()+": disconnected")
		}
		if d.Dropped, err = iso.Dropped(ctx, v.Spaces); err != nil {
			d.Dropped = 0 // there is none, or it is not known
		}
	}
	for _, problem := range v.problems {
		d.Problems = append(d.Problems, openclaw.Problem{Reason: problem})
	}
	return d, nil
}

// machine fills in what names this machine.
func (v *visit) machine(d *Description) {
	if name, err := openclaw.ReadFile(v.disk, "etc/hostname", 1<<12); err == nil {
		d.Hostname = strings.TrimSpace(string(name))
	}
	if !v.whole() {
		return
	}
	if name, err := os.Hostname(); err == nil {
		d.Hostname = name
	}
	if release, err := readBounded("/proc/sys/kernel/osrelease", 1<<12); err == nil {
		d.Kernel = strings.TrimSpace(string(release))
	}
	stat, err := readBounded("/proc/stat", 16<<20)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(stat)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			if seconds, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				d.Boot = time.Unix(seconds, 0)
			}
		}
	}
}

func revivers(u Unit) (out []Reviver) {
	switch {
	case u.Restart == "" || u.Restart == "no":
	case u.Image != "":
		out = append(out, Reviver{Kind: "restart", Name: u.Name, Detail: "restart policy " + u.Restart})
	default:
		out = append(out, Reviver{Kind: "restart", Name: u.Name, Detail: fmt.Sprintf("Restart=%s after %s", u.Restart, u.RestartDelay)})
	}
	if u.Watchdog > 0 {
		out = append(out, Reviver{Kind: "watchdog", Name: u.Name, Detail: "WatchdogSec=" + u.Watchdog.String()})
	}
	for _, name := range u.Triggers {
		out = append(out, Reviver{Kind: unitType(name), Name: name, Detail: "starts " + u.Name})
	}
	for _, name := range u.Followers {
		out = append(out, Reviver{Kind: "follower", Name: name, Detail: "is started when " + u.Name + " ends"})
	}
	return append(out, u.Starters...)
}

// cron lists the tables of cron and the jobs of at that name the agent. They are not changed: what else
// their owner has in them is not the agent's.
func (v *visit) cron() (out []Reviver) {
	for _, from := range []struct {
		kind, ask string
		paths     []string
	}{
		{"cron", "who owns that table, to remove the line before the agent may run again", append([]string{"etc/crontab", "etc/anacrontab"},
			v.filesIn("etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly", "var/spool/cron/crontabs", "var/spool/cron")...)},
		{"at", "who queued that job, to take it back with atrm before the agent may run again", v.filesIn("var/spool/cron/atjobs", "var/spool/at")},
	} {
		for _, name := range from.paths {
			if v.mentioned(name) {
				out = append(out, Reviver{Kind: from.kind, Name: name, Detail: "names the agent", Ask: from.ask})
			}
		}
	}
	return out
}

func (v *visit) filesIn(dirs ...string) (files []string) {
	for _, dir := range dirs {
		entries, err := openclaw.ReadDir(v.disk, dir, 1000)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				files = append(files, path.Join(dir, e.Name()))
			}
		}
	}
	return files
}

// mentioned reports whether a line that is no comment names the agent.
func (v *visit) mentioned(file string) bool {
	data, err := openclaw.ReadFile(v.disk, file, 1<<20)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		line = strings.ToLower(strings.TrimSpace(line))
		if !strings.HasPrefix(line, "#") && agentMention(line) {
			return true
		}
	}
	return false
}

func agentMention(line string) bool {
	for _, name := range []string{"openclaw", "moltbot", "clawdbot", "moldbot"} {
		if strings.Contains(line, name) {
			return true
		}
	}
	return false
}
