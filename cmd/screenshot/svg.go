package main

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// look is how a piece of text is drawn.
type look struct {
	fg, bg               string
	bold, faint, reverse bool
}

// piece is text of one look on one row.
type piece struct {
	look
	at   int // column
	text string
}

const (
	ground, ink  = "#1a1b26", "#c9d1d9"
	cellW, cellH = 8.4, 18.0
	pad          = 12.0
)

// base are the sixteen colours of the picture.
var base = []string{
	"#15161e", "#f7768e", "#9ece6a", "#e0af68", "#7aa2f7", "#bb9af7", "#7dcfff", "#c9d1d9",
	"#565f89", "#ff7a93", "#b9f27c", "#ff9e64", "#7da6ff", "#bb9af7", "#0db9d7", "#ffffff",
}

// colour is a colour by its number of 256.
func colour(n int) string {
	switch {
	case n < 16:
		return base[n]
	case n >= 232:
		grey := 8 + 10*(n-232)
		return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
	}
	levels := []int{0, 95, 135, 175, 215, 255}
	n -= 16
	return fmt.Sprintf("#%02x%02x%02x", levels[n/36], levels[n/6%6], levels[n%6])
}

// parse splits a row as "tmux capture-pane -e" prints it.
func parse(row string) (out []piece) {
	var now look
	at := 0
	for row != "" {
		if rest, ok := strings.CutPrefix(row, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				return out
			}
			if rest[end] == 'm' {
				now.apply(rest[:end])
			}
			row = rest[end+1:]
			continue
		}
		if row[0] == 0x1b || row[0] == 0x0e || row[0] == 0x0f { // other escapes, and shifts of the character set
			row = row[1:]
			continue
		}
		end := strings.IndexByte(row, 0x1b)
		if end < 0 {
			end = len(row)
		}
		out = append(out, piece{now, at, row[:end]})
		at += utf8.RuneCountInString(row[:end])
		row = row[end:]
	}
	return out
}

// apply takes in the parameters of one SGR sequence.
func (l *look) apply(params string) {
	codes := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(codes) == 0 {
		*l = look{}
	}
	for i := 0; i < len(codes); i++ {
		n, _ := strconv.Atoi(codes[i])
		switch {
		case n == 0:
			*l = look{}
		case n == 1:
			l.bold = true
		case n == 2:
			l.faint = true
		case n == 7:
			l.reverse = true
		case n == 22:
			l.bold, l.faint = false, false
		case n == 27:
			l.reverse = false
		case n >= 30 && n <= 37:
			l.fg = base[n-30]
		case n >= 90 && n <= 97:
			l.fg = base[n-90+8]
		case n >= 40 && n <= 47:
			l.bg = base[n-40]
		case n == 39:
			l.fg = ""
		case n == 49:
			l.bg = ""
		case (n == 38 || n == 48) && i+2 < len(codes) && codes[i+1] == "5":
			c, _ := strconv.Atoi(codes[i+2])
			if c = max(0, min(c, 255)); n == 38 {
				l.fg = colour(c)
			} else {
				l.bg = colour(c)
			}
			i += 2
		}
	}
}

// svg draws a screen of w by h cells. Each piece of text gets exactly its cells, whatever font shows it.
func svg(screen string, w, h int) string {
	var out strings.Builder
	width, height := 2*pad+cellW*float64(w), 2*pad+cellH*float64(h)
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">`+"\n", width, height, width)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", ground)
	for y, row := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		for _, p := range parse(row) {
			fg, bg := p.fg, p.bg
			if fg == "" {
				fg = ink
			}
			if p.reverse {
				if bg == "" {
					bg = ground
				}
				fg, bg = bg, fg
			}
			n := utf8.RuneCountInString(p.text)
			x, top := pad+cellW*float64(p.at), pad+cellH*float64(y)
			if bg != "" {
				fmt.Fprintf(&out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, top, cellW*float64(n), cellH, bg)
			}
			if strings.TrimSpace(p.text) == "" {
				continue
			}
			style := ""
			if p.bold {
				style += ` font-weight="bold"`
			}
			if p.faint {
				style += ` fill-opacity="0.6"`
			}
			fmt.Fprintf(&out, `<text xml:space="preserve" x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
				x, top+cellH-5, cellW*float64(n), fg, style, html.EscapeString(p.text))
		}
	}
	out.WriteString("</svg>\n")
	return out.String()
}
