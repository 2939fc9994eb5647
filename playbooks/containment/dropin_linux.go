package containment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dropInName sorts behind what people call their drop-ins, so that it has the last word.
const dropInName = "zzz-clawback.conf"

// RefuseManualStart stops people; the assertion, which never holds, stops timers, sockets, dependencies
// and boot as well (systemd.unit(5)).
const noStart = `# This unit is part of an agent that is contained. "clawback-host restore" removes this file.
[Unit]
RefuseManualStart=yes
AssertPathExists=!/
`

// Whoever ends the service now, with "systemctl stop" or at shutdown, ends it without a last word.
const silentEnd = `FailureAction=none
SuccessAction=none
[Service]
Restart=no
ExecStop=
ExecStopPost=
ExecReload=
KillMode=control-group
KillSignal=SIGKILL
RestartKillSignal=SIGKILL
WatchdogSignal=SIGKILL
SendSIGHUP=no
RuntimeMaxSec=infinity
`

// Block implements blocker.
func (m *systemdManager) Block(ctx context.Context, services, others []string) error {
	for _, name := range services {
		if err := m.writeDropIn(name, noStart+silentEnd); err != nil {
			return err
		}
	}
	for _, name := range others {
		if err := m.writeDropIn(name, noStart); err != nil {
			return err
		}
	}
	return m.reload(ctx)
}

func (m *systemdManager) dropIn(name string) (string, error) {
	if badUnitName(name) {
		return "", fmt.Errorf("%q is not a unit's name", name)
	}
	return filepath.Join(m.dropIns, name+".d", dropInName), nil
}

func (m *systemdManager) writeDropIn(name, text string) error {
	file, err := m.dropIn(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644) // a user's manager must be able to read it
}

func (m *systemdManager) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadWait)
	defer cancel()
	if err := m.conn.ReloadContext(ctx); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return nil
}

// Unblock implements blocker.
func (m *systemdManager) Unblock(ctx context.Context, names []string) error {
	for _, name := range names {
		file, err := m.dropIn(name)
		if err != nil {
			return err
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(filepath.Dir(file)) // only when nothing else is in it
	}
	if len(names) == 0 {
		return nil
	}
	return m.reload(ctx)
}

// Blocked implements Manager.
func (m *systemdManager) Blocked(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	p, err := m.all(ctx, name)
	if err != nil {
		return err
	}
	if p.text("LoadState") == "not-found" {
		return nil // there is nothing to start
	}
	never := slices.ContainsFunc(p.structs("Asserts"), func(a []any) bool {
		return len(a) >= 4 && a[0] == "AssertPathExists" && a[1] == false && a[2] == true && a[3] == "/"
	})
	switch {
	case p.flag("NeedDaemonReload"):
		return errors.New("its files changed since the manager read them")
	case !never || !p.flag("RefuseManualStart"):
		return errors.New("the manager did not take the drop-in that forbids a start")
	case unitType(name) != "service" || p["KillSignal"] == nil:
		return nil
	}
	return m.silent(p, name)
}

// silent says what a service could still do when it ends. It is asked of the agent's services alone:
// others that follow them were not made silent.
func (m *systemdManager) silent(p properties, name string) error {
	file, err := m.dropIn(name)
	if err != nil {
		return err
	}
	if text, err := readBounded(file, 1<<16); err != nil || string(text) == noStart {
		return err
	}
	signal, _ := p["KillSignal"].(int32)
	switch {
	case p.text("Restart") != "no":
		return fmt.Errorf("Restart=%s", p.text("Restart"))
	case len(p.structs("ExecStop"))+len(p.structs("ExecStopPost")) > 0:
		return errors.New("it has commands to run when it ends")
	case signal != int32(syscall.SIGKILL):
		return fmt.Errorf("KillSignal=%d", signal)
	}
	return nil
}

// Standing implements Manager.
func (m *systemdManager) Standing(ctx context.Context, name string) (Paused, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	p, err := m.all(ctx, name)
	if err != nil {
		return Paused{}, err
	}
	state := p.text("ActiveState")
	// A socket whose service runs is deaf, and could not be started again as long as that goes on.
	deaf := unitType(name) == "socket" && p.text("SubState") == "running"
	return Paused{
		Manager: m.name, Name: name,
		Active:  unitType(name) != "service" && !deaf && state != "inactive" && state != "failed",
		Enabled: p.text("UnitFileState") == "enabled",
		Due:     p.due(time.Now()),
	}, nil
}

// due is when a timer fires next, and the accuracy that it allows itself:
// https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.systemd1.html#Timer%20Unit%20Objects
func (p properties) due(now time.Time) time.Time {
	var next time.Time
	if at, _ := p["NextElapseUSecRealtime"].(uint64); at > 0 && at < math.MaxInt64 {
		next = time.UnixMicro(int64(at))
	}
	var since unix.Timespec // of the clock that the other one counts by
	if at := p.micros("NextElapseUSecMonotonic"); at > 0 && unix.ClockGettime(unix.CLOCK_MONOTONIC, &since) == nil {
		if monotonic := now.Add(at - time.Duration(since.Nano())); next.IsZero() || monotonic.Before(next) {
			next = monotonic
		}
	}
	if next.IsZero() {
		return next
	}
	return next.Add(p.micros("AccuracyUSec"))
}

// Pause implements Manager.
func (m *systemdManager) Pause(ctx context.Context, p Paused) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	var failed []error
	if p.Active {
		failed = append(failed, m.job(ctx, m.conn.StopUnitContext, p.Name))
	}
	if p.Enabled {
		_, err := m.conn.DisableUnitFilesContext(ctx, []string{p.Name}, false)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// Resume implements Manager.
func (m *systemdManager) Resume(ctx context.Context, p Paused) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	var failed []error
	if p.Enabled {
		_, _, err := m.conn.EnableUnitFilesContext(ctx, []string{p.Name}, false, false)
		failed = append(failed, err)
	}
	if p.Active {
		failed = append(failed, m.job(ctx, m.conn.StartUnitContext, p.Name))
	}
	return errors.Join(failed...)
}

// Start implements starter. A start that hangs counts as one that went through.
func (m *systemdManager) Start(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	err := m.job(ctx, m.conn.StartUnitContext, name)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// job queues a job and waits for its end. Any result but "done" is an error.
func (m *systemdManager) job(ctx context.Context, queue func(context.Context, string, string, chan<- string) (int, error), name string) error {
	result := make(chan string, 1)
	if _, err := queue(ctx, name, "replace", result); err != nil {
		return err
	}
	select {
	case r := <-result:
		if r != "done" {
			return fmt.Errorf("job ended as %q", r)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("job of %s: %w", name, ctx.Err())
	}
}
