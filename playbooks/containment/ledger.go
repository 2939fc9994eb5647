package containment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// maxLedger bounds what is read back from a disk that the agent may have written to.
const maxLedger = 4 << 20

// ledger is what was changed on the machine and how to undo it. Each change is written down before
// it is made, because the next verb is another process, perhaps after this one was cut off.
type ledger struct {
	file   string // "" keeps it in memory
	unread error  // why what stood in it is not known

	Watchdogs []string   `json:"watchdogs,omitempty"` // managers whose watchdogs were on
	Limits    []limit    `json:"limits,omitempty"`    // of services, in force before
	Cgroups   []string   `json:"cgroups,omitempty"`   // frozen
	Frozen    []unitName `json:"frozen,omitempty"`    // by their managers
	Halted    []Process  `json:"halted,omitempty"`    // stopped one by one
	Blocked   []unitName `json:"blocked,omitempty"`
	Paused    []Paused   `json:"paused,omitempty"`
	Linger    []string   `json:"linger,omitempty"` // accounts whose services started at boot
	Spaces    []Space    `json:"spaces,omitempty"` // networks of the agent's own, cut off
	Links     []Link     `json:"links,omitempty"`  // networks of engines that its containers were in
	Ports     []int      `json:"ports,omitempty"`  // on which its processes listened
	Killed    bool       `json:"killed,omitempty"` // Stop went beyond what Thaw can undo
}

// limit is the watchdog of one service.
type limit struct {
	Manager string        `json:"manager"`
	Name    string        `json:"name"`
	Limit   time.Duration `json:"limit"`
}

type unitName struct {
	Manager string `json:"manager"`
	Name    string `json:"name"`
	Service bool   `json:"service,omitempty"` // the agent's own, rather than what starts it
}

// openLedger reads the ledger at path; one that does not exist is empty.
func openLedger(path string) (*ledger, error) {
	l := &ledger{file: path}
	if path == "" {
		return l, nil
	}
	data, err := readBounded(path, maxLedger)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was changed on this machine: %w", err)
	}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("read what was changed on this machine, %s: %w", path, err)
	}
	return l, nil
}

// saving is called before and after each change of the ledger. A test dies there.
var saving = func() {}

// save writes the ledger, whole or not at all. An empty one is removed.
func (l *ledger) save() error {
	if l.file == "" {
		return nil
	}
	saving()
	defer saving()
	if l.empty() {
		if err := os.Remove(l.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the record of changes: %w", err)
		}
		_ = os.Remove(filepath.Dir(l.file)) // only when nothing else is in it
		return nil
	}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	next := l.file + ".new"
	_ = os.Remove(next)
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	if err := os.Rename(next, l.file); err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	return nil
}

func (l *ledger) empty() bool {
	return len(l.Watchdogs)+len(l.Limits)+len(l.Cgroups)+len(l.Frozen)+len(l.Halted)+len(l.Blocked)+len(l.Paused)+len(l.Linger)+len(l.Spaces)+len(l.Links)+len(l.Ports) == 0
}

// changed lists what is changed, for people.
func (l *ledger) changed() (list []string) {
	if l.unread != nil {
		list = append(list, "not known: "+l.unread.Error())
	}
	for _, path := range l.Cgroups {
		list = append(list, "cgroup "+path+": frozen")
	}
	for _, u := range l.Frozen {
		list = append(list, u.Name+": paused")
	}
	for _, p := range l.Halted {
		list = append(list, fmt.Sprintf("process %d (%s): SIGSTOP", p.PID, p.Name))
	}
	for _, u := range l.Blocked {
		if !containerUnit.MatchString(u.Name) { // an engine never refuses
			list = append(list, u.Name+": start refused")
		}
	}
	for _, p := range l.Paused {
		if p.Policy != "" {
			list = append(list, p.Name+": restart policy no, was "+p.Policy)
			continue
		}
		list = append(list, p.Name+": stopped or disabled")
	}
	for _, user := range l.Linger {
		list = append(list, "linger of "+user+": off")
	}
	for _, name := range l.Watchdogs {
		list = append(list, "watchdogs of the "+name+" manager: off")
	}
	for _, u := range l.Limits {
		list = append(list, "watchdog of "+u.Name+": off")
	}
	return list
}
