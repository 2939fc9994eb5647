// Command screenshot drives a real drill in tmux and draws the console as it stands: make screenshots.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The terminal of the pictures.
const width, height = 100, 30

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: screenshot CLAWBACK FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "screenshot:", err)
		os.Exit(1)
	}
}

var typed = regexp.MustCompile(`Type  (.+?)  to go on`)

func run(clawback, into string) error {
	dir, err := os.MkdirTemp("", "screenshot-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	t := terminal{socket: filepath.Join(dir, "s")}
	defer func() { _, _ = t.tmux("kill-server") }()
	line := fmt.Sprintf("env USER=dana XDG_STATE_HOME=%s XDG_CONFIG_HOME=%s COLORFGBG='15;0' TERM=screen-256color %s", dir, dir, clawback)
	for _, do := range []func() error{
		func() error { return t.start(line) },
		func() error { return t.until("▸ enter  start a response") },
		func() error { return t.shoot(into, "home") },
		func() error { return t.start(line + " drill --seed 7 --speed 6") },
		func() error { return t.until("waiting for you: Freeze") },
		func() error { return t.shoot(into, "plan") },
		func() error { return t.press("Enter") },
		func() error { return t.answer("Freeze the agent", "y") },
		func() error { return t.question("Revoke", into) },
		func() error { return t.until("✓ dead") },
		func() error { return t.until("propagating") },
		func() error { return t.shoot(into, "console") },
		func() error { return t.press("b") },
		func() error { return t.until("What  ") },
		func() error { return t.shoot(into, "brief") },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// terminal is a tmux server of our own.
type terminal struct{ socket string }

func (t terminal) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-S", t.socket, "-u", "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// start runs a command line in a terminal of its own, in place of the one before.
func (t terminal) start(line string) error {
	if _, err := t.tmux("respawn-pane", "-k", line); err == nil {
		return nil
	}
	_, err := t.tmux("new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), line)
	return err
}

func (t terminal) text() (string, error) { return t.tmux("capture-pane", "-p") }

func (t terminal) press(key string) error {
	_, err := t.tmux("send-keys", key)
	return err
}

// until waits until a text is on the screen.
func (t terminal) until(want string) error { return t.within(want, time.Minute) }

func (t terminal) within(want string, most time.Duration) error {
	last := ""
	for tick, deadline := time.NewTicker(50*time.Millisecond), time.Now().Add(most); time.Now().Before(deadline); <-tick.C {
		text, err := t.text()
		if err != nil {
			return err
		}
		if last = text; strings.Contains(text, want) {
			return nil
		}
	}
	return fmt.Errorf("%q is not on the screen:\n%s", want, last)
}

// opens opens the question with a title, and waits until it takes keys. A key that comes too soon after
// another dialog does nothing, so it may take more than one.
func (t terminal) opens(title string) error {
	if err := t.selects(title); err != nil {
		return err
	}
	var err error
	for range 5 {
		if err = t.rests(); err != nil {
			return err
		}
		if err = t.press("Enter"); err != nil {
			return err
		}
		if err = t.within("┌ "+title, 2*time.Second); err == nil {
			return t.rests()
		}
	}
	return err
}

// selects goes down to the question with a title.
func (t terminal) selects(title string) error {
	if err := t.until("? " + title); err != nil {
		return err
	}
	for range 10 {
		text, err := t.text()
		if err != nil || strings.Contains(text, "▸ ? "+title) {
			return err
		}
		if err := t.press("j"); err != nil {
			return err
		}
		if err := t.changes(text); err != nil {
			return err
		}
	}
	return fmt.Errorf("%q cannot be selected", title)
}

// changes waits until the screen shows something else, for a second at most: a key may do nothing visible.
func (t terminal) changes(from string) error {
	for tick, end := time.NewTicker(20*time.Millisecond), time.Now().Add(time.Second); time.Now().Before(end); <-tick.C {
		if text, err := t.text(); err != nil || text != from {
			return err
		}
	}
	return nil
}

// rests waits until what stands on the screen no longer says that it is too early.
func (t terminal) rests() error {
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		text, err := t.text()
		if err != nil || !strings.Contains(text, "a moment: keys count") {
			return err
		}
	}
}

func (t terminal) answer(title, key string) error {
	if err := t.opens(title); err != nil {
		return err
	}
	return t.press(key)
}

// question draws a question that wants to be typed, and types it.
func (t terminal) question(title, into string) error {
	if err := t.opens(title); err != nil {
		return err
	}
	if err := t.shoot(into, "question"); err != nil {
		return err
	}
	text, err := t.text()
	if err != nil {
		return err
	}
	want := typed.FindStringSubmatch(text)
	if want == nil {
		return fmt.Errorf("nothing is to be typed:\n%s", text)
	}
	for _, r := range want[1] {
		if err := t.press(string(r)); err != nil {
			return err
		}
	}
	if err := t.until("▸ enter"); err != nil {
		return err
	}
	return t.press("Enter")
}

// shoot draws the screen into a file.
func (t terminal) shoot(into, name string) error {
	screen, err := t.tmux("capture-pane", "-p", "-e")
	if err != nil {
		return err
	}
	path := filepath.Join(into, name+".svg")
	fmt.Println(path)
	return os.WriteFile(path, []byte(svg(screen, width, height)), 0o644)
}
