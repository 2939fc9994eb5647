package host

import (
	"context"
	"syscall"
	"testing"
)

// What the desk's terminal sends to all that runs in it must not cut the link: not ctrl+C, not
// ctrl+Z, not its end. That holds also for the connection that may ask for a password there.
func TestRealDeafToTheTerminal(t *testing.T) {
	for name, opts := range map[string][]SSHOption{"alone": nil, "with prompts": {WithPrompts()}} {
		t.Run(name, func(t *testing.T) {
			h := dial(t, startServer(t), startWorld(t), opts...)
			if len(opts) == 0 { // it is in a group of its own, to which the terminal sends nothing
				if group, err := syscall.Getpgid(h.master.Process.Pid); err != nil || group == syscall.Getpgrp() {
					t.Errorf("its group is %d (%v), as ours", group, err)
				}
			} else {
				for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGHUP} {
					must(t, h.master.Process.Signal(sig))
				}
			}
			if _, err := h.Describe(context.Background()); err != nil || h.ended() {
				t.Errorf("the link is cut: %v", err)
			}
			must(t, h.Close())
		})
	}
}
