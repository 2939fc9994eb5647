package tui

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// What goes to the terminal for a link, byte by byte, through each of what may stand between.
func TestToClipboard(t *testing.T) {
	const link = "https://dashboard.stripe.com/apikeys"
	const code = "aHR0cHM6Ly9kYXNoYm9hcmQuc3RyaXBlLmNvbS9hcGlrZXlz"
	const plain = "\x1b]52;c;" + code + "\a"
	const tmux = "\x1bPtmux;\x1b\x1b]52;c;" + code + "\a\x1b\\"
	const screen = "\x1bP\x1b]52;c;" + code + "\a\x1b\\"
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a terminal":           {map[string]string{"TERM": "xterm-256color"}, plain},
		"nothing said":         {nil, plain},
		"tmux":                 {map[string]string{"TERM": "screen-256color", "TMUX": "/tmp/tmux-0/default,1,0"}, plain + tmux},
		"tmux, over ssh":       {map[string]string{"TERM": "tmux-256color"}, plain + tmux},
		"tmux within screen":   {map[string]string{"TERM": "tmux", "TMUX": "x", "STY": "1.pts"}, plain + tmux},
		"screen":               {map[string]string{"TERM": "xterm", "STY": "1234.pts-0.bastion-2"}, screen},
		"either, over ssh":     {map[string]string{"TERM": "screen"}, plain + screen},
		"either, 256 colours":  {map[string]string{"TERM": "screen-256color"}, plain + screen},
		"screen by its own":    {map[string]string{"TERM": "screen.xterm-256color", "STY": "1.x"}, screen},
		"one that is no tmux":  {map[string]string{"TERM": "xterm-tmux"}, plain},
		"an empty environment": {map[string]string{"TERM": "", "TMUX": "", "STY": ""}, plain},
	} {
		if got := toClipboard(link, func(key string) string { return tc.env[key] }); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// GNU screen prints what is too long for it: a long link goes through in pieces, and nothing gets lost.
func TestLongLinkThroughScreen(t *testing.T) {
	link := "https://example.org/" + strings.Repeat("x", 1900)
	for _, env := range []map[string]string{{"STY": "1.x"}, {"TERM": "screen"}} {
		var whole strings.Builder
		for rest := toClipboard(link, func(key string) string { return env[key] }); rest != ""; {
			piece, ok := strings.CutPrefix(rest, "\x1bP")
			end := strings.Index(piece, "\x1b\\")
			if !ok || end < 0 || end > 768 {
				t.Fatalf("%v: a piece of %d bytes: %.40q", env, end, rest)
			}
			whole.WriteString(piece[:end])
			rest = piece[end+2:]
		}
		if want := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(link)) + "\a"; whole.String() != want {
			t.Errorf("%v: %q", env, whole.String())
		}
	}
}

// Where no clipboard is in reach, the mouse is: the page of what is selected stands on the screen in one piece.
func TestLinkStandsInOnePiece(t *testing.T) {
	const link = "https://console.example.org/projects/billing/keys/rotate?id=0042"
	for _, size := range [][2]int{{80, 15}, {80, 24}, {200, 60}} {
		s := begun(t)
		f := s.found("stripe", "stripe.api_key", "sk_live_…9fQ2", func(f *incident.Found) { f.Manual, f.Link = true, link })
		s.add(incident.TypeLife, incident.Life{Fingerprint: f, Life: "manual"})
		k := newKeyboard(t, s, size[0], size[1], nil)
		k.press("enter")
		in := func() bool { return strings.Contains(ansi.Strip(k.view()), " "+link+" ") }
		if !in() {
			t.Errorf("%v: it is not whole where its credential is selected:\n%s", size, k.view())
		}
		k.press("enter")
		if k.c.screen != &k.c.detail || !in() {
			t.Errorf("%v: it is not whole on its credential's screen:\n%s", size, k.view())
		}
		k.press("esc", "?")
		if k.c.top() == nil || strings.Contains(k.view(), "page: ") {
			t.Errorf("%v: it stands below a dialog:\n%s", size, k.view())
		}
	}
}
