package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// stateDir is where incidents live.
func (a *app) stateDir() string {
	if base := a.env["XDG_STATE_HOME"]; filepath.IsAbs(base) {
		return filepath.Join(base, "clawback", "incidents")
	}
	if os.Getuid() == 0 {
		return "/var/lib/clawback/incidents"
	}
	return filepath.Join(a.env["HOME"], ".local", "state", "clawback", "incidents")
}

// open is an incident's folder and record, opened for writing.
type open struct {
	id      string
	dir     string
	journal *journal.Journal
	target  *os.File // the lock on the target; nil where there is none
	trouble error    // why it is not where it should be
}

func (o *open) close() error {
	err := o.journal.Close()
	if o.target != nil {
		_ = o.target.Close()
	}
	return err
}

// create makes the folder of a new incident and starts its record. When the place for it cannot be
// written, the response goes on in a temporary one, and says so; it is refused only when somebody
// else responds to the same target.
func (a *app) create(prefix, target string, now func() time.Time) (*open, error) {
	o := &open{}
	base := a.stateDir()
	err := disk.MkdirAll(ownDisk, base, 0o700)
	if err == nil && target != "" {
		o.target, err = a.lockTarget(base, target)
		var locked *journal.LockedError
		if errors.As(err, &locked) {
			return nil, &failure{incident.ExitLocked, fmt.Errorf("%s: %w", target, err), "wait for them, or end their run: its record is in " + base}
		}
	}
	if err == nil {
		o.id, o.dir, err = newFolder(base, prefix)
	}
	if err != nil {
		o.trouble = fmt.Errorf("the state directory cannot be used: %w", err)
		if o.id, o.dir, err = newFolder(os.TempDir(), "clawback-"+prefix); err != nil {
			o.dir = ""
		}
	}
	if err == nil {
		o.journal, err = journal.CreateOn(ownDisk, o.dir, a.holder(), now)
	}
	if err != nil {
		o.trouble = errors.Join(o.trouble, err)
		if o.id == "" {
			o.id = prefix + "-unrecorded"
		}
		o.journal = journal.Refused(err, now)
	}
	return o, nil
}

// newFolder makes the folder of a new incident, named after the minute in which it was declared.
func newFolder(base, prefix string) (id, dir string, err error) {
	id = prefix + "-" + time.Now().UTC().Format("20060102-1504")
	for n := 2; ; n++ {
		dir = filepath.Join(base, id)
		err = ownDisk.Mkdir(dir, 0o700)
		if !errors.Is(err, fs.ErrExist) || n > 1000 {
			return id, dir, err
		}
		id = fmt.Sprintf("%s-%s-%d", prefix, time.Now().UTC().Format("20060102-1504"), n)
	}
}

// lockTarget makes sure that one responder works on a target at a time.
func (a *app) lockTarget(base, target string) (*os.File, error) {
	sum := sha256.Sum256([]byte(target))
	return journal.Lock(filepath.Join(base, ".target-"+hex.EncodeToString(sum[:8])), a.holder())
}

func (a *app) holder() journal.Holder {
	return journal.Holder{Who: a.responder(), Desk: hostname(), PID: os.Getpid(), Since: time.Now().UTC().Round(time.Second)}
}

// responder is who the record names.
func (a *app) responder() string {
	for _, name := range []string{a.as, a.config.Responder, a.env["SUDO_USER"], a.env["USER"], a.env["LOGNAME"]} {
		if name != "" {
			return name
		}
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}

// find returns the folder of an incident by its id; with "" the newest. An id is a name below the
// state directory, or the path of a folder.
func (a *app) find(id string) (string, error) {
	base := a.stateDir()
	notFound := func(what string) error {
		return &failure{incident.ExitNoInstallation, errors.New(what), "incidents are in " + base}
	}
	if id == "" {
		return a.newest(base, notFound)
	}
	dir := id
	if !strings.ContainsRune(id, filepath.Separator) {
		dir = filepath.Join(base, id)
	}
	info, err := os.Stat(filepath.Join(dir, journal.FileName))
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(journal.FileName + " is not a regular file")
	}
	if err != nil {
		return "", notFound(fmt.Sprintf("no incident %s: %v", id, err))
	}
	return dir, nil
}

func (a *app) newest(base string, notFound func(string) error) (string, error) {
	entries, _ := os.ReadDir(base)
	newest, when := "", time.Time{}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(base, e.Name(), journal.FileName))
		if err == nil && info.ModTime().After(when) {
			newest, when = filepath.Join(base, e.Name()), info.ModTime()
		}
	}
	if newest == "" {
		return "", notFound("no incident was ever recorded here")
	}
	return newest, nil
}
