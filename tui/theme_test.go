package tui

import (
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// rgb is the colour of a number from 16 to 255, which no terminal changes.
func rgb(t *testing.T, number string) [3]int {
	n, err := strconv.Atoi(number)
	if err != nil || n < 16 || n > 255 {
		t.Fatalf("%q is a colour that terminals choose themselves", number)
	}
	if n >= 232 {
		grey := 8 + 10*(n-232)
		return [3]int{grey, grey, grey}
	}
	levels := []int{0, 95, 135, 175, 215, 255}
	return [3]int{levels[(n-16)/36], levels[(n-16)/6%6], levels[(n-16)%6]}
}

// luminance is relative luminance as WCAG 2.2 defines it.
func luminance(c [3]int) float64 {
	var l [3]float64
	for i, v := range c {
		s := float64(v) / 255
		if l[i] = s / 12.92; s > 0.04045 {
			l[i] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func contrast(a, b [3]int) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// What is drawn can be read on each ground that people have, by the measure of WCAG 2.2, 1.4.3.
func TestContrast(t *testing.T) {
	if c := contrast([3]int{0, 0, 0}, [3]int{255, 255, 255}); math.Abs(c-21) > 0.01 {
		t.Fatalf("black on white is %.2f", c)
	}
	for name, tc := range map[string]struct {
		of      palette
		grounds [][3]int
	}{
		"dark":  {dark, [][3]int{{0, 0, 0}, {0x1e, 0x1e, 0x1e}, {0x28, 0x2a, 0x36}, {0x00, 0x2b, 0x36}}}, // Dracula and Solarized among them
		"light": {light, [][3]int{{255, 255, 255}, {0xee, 0xee, 0xee}, {0xfd, 0xf6, 0xe3}}},
	} {
		for i, l := range tc.of {
			if l.faint || l.reverse {
				t.Errorf("%s, token %d: how faint or reversed text looks is the terminal's choice", name, i)
			}
			grounds := tc.grounds
			if l.bg != "" {
				grounds = [][3]int{rgb(t, l.bg)}
			} else if l.fg == "" {
				continue // the terminal's own text
			}
			for _, ground := range grounds {
				if c := contrast(rgb(t, l.fg), ground); c < 4.5 {
					t.Errorf("%s, token %d: %s on %v has a contrast of %.2f, below 4.5", name, i, l.fg, ground, c)
				}
			}
		}
	}
}

func TestThemeOf(t *testing.T) {
	for name, tc := range map[string]struct {
		env   map[string]string
		theme string
		want  string // of accent
		ascii bool
	}{
		"nothing said":     {map[string]string{"TERM": "xterm-256color"}, "", "\x1b[1;36m", false},
		"dark, asked for":  {map[string]string{"TERM": "xterm-256color"}, "dark", "\x1b[1;38;5;80m", false},
		"light, asked for": {map[string]string{"TERM": "screen-256color"}, "light", "\x1b[1;38;5;23m", false},
		"it says dark":     {map[string]string{"TERM": "xterm-256color", "COLORFGBG": "15;0"}, "", "\x1b[1;38;5;80m", false},
		"it says light":    {map[string]string{"TERM": "rxvt", "COLORTERM": "truecolor", "COLORFGBG": "0;default;15"}, "", "\x1b[1;38;5;23m", false},
		"it says nonsense": {map[string]string{"TERM": "xterm-256color", "COLORFGBG": "a;b"}, "", "\x1b[1;36m", false},
		"sixteen colours":  {map[string]string{"TERM": "screen"}, "dark", "\x1b[1;36m", false},
		"the console":      {map[string]string{"TERM": "linux"}, "dark", "\x1b[1;36m", true},
		"none":             {map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}, "dark", "", false},
		"dumb":             {map[string]string{"TERM": "dumb"}, "dark", "", true},
	} {
		got := themeOf(Options{Getenv: func(key string) string { return tc.env[key] }, Theme: tc.theme, Output: io.Discard})
		on := got.styles[accent].on
		if strings.TrimSuffix(on, "m") != strings.TrimSuffix(tc.want, "m") || got.ascii != tc.ascii {
			t.Errorf("%s: %q, ascii %v", name, on, got.ascii)
		}
	}
}
