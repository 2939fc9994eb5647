package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// In a tmux that lets programs fill its buffers, o puts the whole link there, whether the console knows that it
// is in tmux or TERM alone says that it may be; and nothing of what was sent for it stands on the screen.
func TestTerminalClipboard(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]string{"in tmux": "", "over ssh": "env -u TMUX -u TMUX_PANE TERM=screen-256color "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			s := d.screenOf(env + d.bin + " drill --speed " + drillSpeed + " --seed 9")
			s.run("set-option", "-s", "set-clipboard", "on")
			_, _ = s.follow(func(_, leads string, _ []string) bool { return strings.HasPrefix(leads, "copy its link") })
			const link = "https://dashboard.stripe.com/apikeys"
			eventually(t, 30*time.Second, "the link of what is selected in one piece, once nothing else is said there", func() bool {
				return strings.Contains(s.text(), " "+link+" ")
			})
			s.run("send-keys", "o")
			eventually(t, 30*time.Second, "the link in tmux's buffer", func() bool {
				out, _ := s.command("show-buffer").Output() // there may be none yet
				return string(out) == link
			})
			eventually(t, 30*time.Second, "it says so", func() bool { return strings.Contains(s.text(), "copied: "+link) })
			if text := s.text(); strings.Contains(text, "52;c") || strings.Contains(text, "tmux;") || !strings.HasPrefix(text, s.banner) {
				t.Errorf("what was sent stands on the screen\n%s", text)
			}
			if err := syscall.Kill(s.pid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.exits(incident.ExitTerminated)
		})
	}
}
