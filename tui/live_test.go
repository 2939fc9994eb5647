package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
)

// drillsEnv says how many drills somebody hits the keyboard at random in, in place of liveRuns.
const drillsEnv = "CLAWBACK_TEST_DRILLS"

// liveRuns is how many drills it is by default.
func liveRuns(t testing.TB) int {
	if n := os.Getenv(drillsEnv); n != "" {
		runs, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("%s: %v", drillsEnv, err)
		}
		return runs
	}
	switch {
	case raceEnabled:
		return 200
	case os.Getenv("CI") == "true" && !testing.Short():
		return 10_000 // a minute of two processors that have nothing else to do
	}
	return 1000
}

// byHands is what was typed into a dialog, and when enter ended it.
type byHands struct {
	text string
	at   time.Time
}

// fingers press keys at a terminal, and remember what was typed with care: outside of a paste, into a
// dialog that had been in sight before the hands rested. What they know comes from the bytes that they
// sent and from what the terminal shows, and nothing of it from the console.
type fingers struct {
	t        *testing.T
	keys     *io.PipeWriter
	screen   *emulator
	resize   func(tea.Msg)
	over     chan struct{} // the console has ended
	how      strings.Builder
	w, h     int
	since    time.Time // of the dialog
	armed    bool      // and it was looked at
	last     time.Time // a key
	typed    []rune
	at       int
	muddled  bool   // something was sent that these hands do not understand
	sent     string // all of it, without the pastes
	pasting  bool
	tail     string // of a paste, which may be the begin of its end
	did      []byHands
	stopped  bool // the last key was one that may stop the response
	asked    string
	askStops bool
}

const (
	looked    = 200 * time.Millisecond // 300 ms less what a frame may take to the screen
	beatOfOne = 150 * time.Millisecond
)

// send sends one piece, as a terminal hands over what was typed at once.
func (h *fingers) send(piece string) {
	synctest.Wait()
	select {
	case <-h.over:
		return
	default:
	}
	fmt.Fprintf(&h.how, "%q ", piece)
	h.understand(piece)
	_, _ = io.WriteString(h.keys, piece)
	synctest.Wait()
}

// understand keeps track of what a piece types.
func (h *fingers) understand(piece string) {
	asked, stops, since := h.screen.dialog()
	if since != h.since {
		h.asked, h.askStops, h.since, h.armed = asked, stops, since, false
		h.typed, h.at, h.muddled, h.sent = nil, 0, false, ""
	}
	h.stopped = strings.Contains(piece, "\x03")
	keys := h.unpasted(piece)
	if keys == "" || keys == "\x1a" || h.w < minWidth || h.h < minHeight {
		return
	}
	now := time.Now()
	rested := now.Sub(h.last)
	h.last = now
	if !h.armed {
		if now.Sub(since) < looked || rested < looked {
			return
		}
		h.armed = true
	}
	first, rest := keys[:1], keys[1:] // control characters, and what follows them, are keys of their own
	after, _ := utf8.DecodeRuneInString(rest)
	h.stopped = h.stopped || stops && first == "y" && (after <= ' ' || after == '\x7f' || after == utf8.RuneError)
	if first == "\r" && rested >= beatOfOne && asked != "" {
		text := string(h.typed)
		if h.muddled && lettersOf(asked, h.sent) {
			text = asked // it may be: its letters were typed, in their order
		}
		h.did = append(h.did, byHands{text, now})
		if rest == "" {
			return
		}
	}
	h.sent += keys
	h.edit(keys)
}

// unpasted is what of a piece is no part of a paste.
func (h *fingers) unpasted(piece string) string {
	const begin, end = "\x1b[200~", "\x1b[201~"
	if !h.pasting {
		before, paste, begins := strings.Cut(piece, begin)
		if !begins {
			return piece
		}
		h.pasting, h.tail = true, ""
		return before + h.unpasted(paste)
	}
	h.tail += piece
	_, after, ends := strings.Cut(h.tail, end)
	if !ends {
		return ""
	}
	h.pasting = false
	if after == "" {
		return ""
	}
	return h.unpasted(after)
}

// edit does to the text what a piece does to a field.
func (h *fingers) edit(piece string) {
	switch piece {
	case "\x7f":
		if h.at > 0 {
			h.typed = append(h.typed[:h.at-1:h.at-1], h.typed[h.at:]...)
			h.at--
		}
	case "\x15":
		h.typed, h.at = h.typed[h.at:], 0
	case "\x1b[C":
		h.at = min(len(h.typed), h.at+1)
	case "\x1b[D":
		h.at = max(0, h.at-1)
	case "\x1b[H":
		h.at = 0
	case "\x1b[F":
		h.at = len(h.typed)
	case "\r", "\t", "\x1b[Z", "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x0c":
	default:
		if !utf8.ValidString(piece) || strings.ContainsFunc(piece, func(r rune) bool { return unicode.IsControl(r) || !unicode.IsPrint(r) }) {
			h.muddled = true
			return
		}
		text := []rune(piece)
		h.typed = append(h.typed[:h.at:h.at], append(text, h.typed[h.at:]...)...)
		h.at += len(text)
	}
}

// lettersOf reports whether all letters of a text stand in another one, in their order.
func lettersOf(text, all string) bool {
	for _, r := range text {
		_, rest, ok := strings.Cut(all, string(r))
		if !ok {
			return false
		}
		all = rest
	}
	return true
}

func (h *fingers) pass(d time.Duration) { time.Sleep(d) } // of the bubble

// mean does what somebody does who means it: they read what has to be typed, and type it. Four times of ten
// they do it wrong, which must not count.
func (h *fingers) mean(n int) {
	asked, _, _ := h.screen.dialog()
	if asked == "" {
		return
	}
	h.pass(400 * time.Millisecond)
	h.send("\x1b[F") // an edited field is emptied from its end
	h.send("\x15")
	beat := 160 * time.Millisecond
	switch n % 10 {
	case 0: // a letter too few
		asked = asked[:len(asked)-1]
	case 1: // one too many
		asked += "x"
	case 2: // enter comes as in a paste
		beat = 0
	case 3:
		h.send("\x1b[200~" + asked + "\x1b[201~")
		asked = ""
		h.pass(400 * time.Millisecond)
	}
	for _, r := range asked {
		h.pass(time.Duration(20+20*(n%5)) * time.Millisecond)
		h.send(string(r))
	}
	h.pass(beat)
	h.send("\r")
}

// roles are who sits at the terminal.
var roles = []struct {
	attached, watching, suspends bool
	approvals                    int
	env                          map[string]string
}{
	{env: map[string]string{"TERM": "xterm-256color"}},
	{approvals: 2, env: map[string]string{"TERM": "xterm-256color", "COLORFGBG": "15;0"}},
	{suspends: true, env: map[string]string{"TERM": "screen"}},
	{approvals: 1, env: map[string]string{"TERM": "tmux-256color", "NO_COLOR": "1"}},
	{attached: true, suspends: true, env: map[string]string{"TERM": "xterm"}},
	{attached: true, approvals: 2, env: map[string]string{"TERM": "linux"}},
	{watching: true, env: map[string]string{"TERM": "xterm-256color", "COLORFGBG": "0;15"}},
	{env: map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}},
}

// hitLive runs a drill in the console while a script is played on its terminal. It returns what was done
// that cannot be undone, each of which somebody typed the text for; all else fails the test. The first
// byte of the script says who sits there, and how they leave.
func hitLive(t *testing.T, dir string, script []byte) (done map[string]int) {
	if len(script) == 0 {
		return nil
	}
	who, leave := roles[int(script[0])%len(roles)], script[0]/byte(len(roles))%2
	d := newDrill(t, dir, who.approvals)
	defer func() { d.stop(); <-d.over }()
	in, keys := io.Pipe()
	h := &fingers{t: t, keys: keys, screen: newEmulator(drillLink), over: make(chan struct{}), last: time.Now()}
	var mu sync.Mutex
	var unasked []string
	o := Options{
		Journal: d.engine.Journal.Cursor(), By: "dana", Dir: dir, Input: in, Output: h.screen, Attached: who.attached,
		Getenv: func(key string) string { return who.env[key] },
		Submit: d.engine.Submit,
		Interrupt: func() error {
			mu.Lock()
			defer mu.Unlock()
			if !h.stopped {
				unasked = append(unasked, "the response was stopped")
			}
			d.stop()
			return nil
		},
		resizes: func(send func(tea.Msg)) { h.resize = send },
	}
	if who.watching {
		o.Submit, o.Interrupt = nil, nil
	}
	if who.suspends {
		o.Suspend = func() error { return nil }
	}
	told := errors.New("terminated")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var err error
	go func() {
		defer close(h.over)
		err = Run(ctx, o)
		_ = in.Close() // nobody reads what is typed now
	}()
	synctest.Wait()
	h.w, h.h = 80, 24
	h.resize(tea.WindowSizeMsg{Width: h.w, Height: h.h})
	h.play(script[1:])
	h.leave(leave == 0, func() { cancel(told) })
	d.stop()
	<-d.over
	time.Sleep(2 * time.Second) // Bubble Tea does not wait for its timers

	if err != nil && !errors.Is(err, told) {
		t.Errorf("it ended with %v", err)
	}
	if fault := h.screen.leaves(); fault != "" {
		t.Errorf("the terminal: %s", fault)
	}
	for _, what := range unasked {
		t.Errorf("%s, and nobody said so", what)
	}
	done = h.judge(d)
	if t.Failed() {
		t.Logf("keys: %s\nscript: %q\n%s", h.how.String(), script, h.screen.text())
	}
	return done
}

// leave ends the console by ctrl+c, or as a signal does.
func (h *fingers) leave(byKeys bool, signal func()) {
	for range 3 {
		if byKeys && !h.pasting {
			h.send("\x03")
			h.pass(200 * time.Millisecond)
		}
	}
	select {
	case <-h.over:
		return
	default:
	}
	if byKeys && !h.pasting {
		h.t.Errorf("ctrl+c does not leave")
	}
	signal()
	<-h.over
}

// judge holds a record against what was typed: nothing in it that cannot be undone has happened before
// somebody typed its text, and each time anew.
func (h *fingers) judge(d *drill) (done map[string]int) {
	done = make(map[string]int)
	for _, e := range d.entries {
		kind, want := "", ""
		switch e.Type {
		case incident.TypeStepIntent:
			var v incident.StepIntent
			if e.Decode(&v) == nil {
				want = map[string]string{"revoke": "revoke 3", "stop": "stop claw-lab"}[v.Step]
				kind = v.Step
			}
		case incident.TypeBreakGlass:
			var v incident.BreakGlass
			if e.Decode(&v) == nil {
				kind, want = "break glass", "break glass "+v.Step
			}
		case incident.TypeCommand:
			var v incident.Command
			switch {
			case e.Decode(&v) != nil:
			case v.Kind == incident.Add:
				kind, want = "add", "revoke "+v.Text
			case v.Kind == incident.Retry && v.Credential == print("awsAKIA…spared"):
				kind, want = "retry", "revoke aws"
			}
		}
		if want == "" {
			continue
		}
		done[kind]++
		if !h.typedBefore(want, e.Time) {
			h.t.Errorf("entry %d, %s: nobody typed %q for it before %v; typed was %v", e.Seq, e.Type, want, e.Time, h.did)
		}
	}
	return done
}

// typedBefore finds what was typed for something, and takes it away.
func (h *fingers) typedBefore(want string, at time.Time) bool {
	for i, c := range h.did {
		if c.text == want && !c.at.After(at) {
			h.did = append(h.did[:i], h.did[i+1:]...)
			return true
		}
	}
	return false
}

// Ten thousand times somebody hits the keyboard at random in a drill: over the real engine, the real record
// and Bubble Tea's own program, which reads bytes and writes to a terminal. Nothing that cannot be undone
// happens without its text, and the terminal is given back as it was.
func TestRandomKeysInADrill(t *testing.T) {
	const shards = 4
	runs := liveRuns(t)
	var done [shards]map[string]int
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				done[shard] = make(map[string]int)
				for seed := shard; seed < runs && !t.Failed(); seed += shards {
					dir := t.TempDir()
					synctest.Test(t, func(t *testing.T) {
						for kind, n := range hitLive(t, dir, randomScript(uint64(seed))) {
							done[shard][kind] += n
						}
						if t.Failed() {
							t.Logf("seed %d", seed)
						}
					})
					_ = os.RemoveAll(dir)
				}
			})
		}
	})
	total := make(map[string]int)
	for _, d := range done {
		for kind, n := range d {
			total[kind] += n
		}
	}
	t.Logf("%d drills; typed and done: %v", runs, total)
	for _, kind := range []string{"revoke", "stop", "break glass", "add", "retry"} { // or the rule was never tried
		if runs >= 200 && total[kind] == 0 {
			t.Errorf("in no drill was %q done: %v", kind, total)
		}
	}
}

// FuzzDrillKeys looks for keys that do in a drill what nobody typed, or leave a broken terminal.
func FuzzDrillKeys(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(randomScript(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) { hitLive(t, dir, script[:min(len(script), 400)]) })
	})
}
