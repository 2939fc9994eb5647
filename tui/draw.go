package tui

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// View draws the screen: never more rows or cells than the terminal has.
func (c *console) View() (view string) {
	defer func() {
		if p := recover(); p != nil {
			c.failed = fault(debug.Stack())
			view = ""
		}
	}()
	if c.w <= 0 || c.h <= 0 {
		return ""
	}
	rows := c.draw()
	return strings.Join(rows[:min(len(rows), c.h)], "\n")
}

func (c *console) draw() []string {
	if c.small() {
		return c.drawNotice()
	}
	f := layoutFrame(c.w, c.h)
	rows := make([]string, 0, c.h)
	rows = append(rows, c.theme.draw(c.banner(), c.w), c.theme.draw(c.status(), c.w))
	body := c.drawBody(f.Body)
	if o := c.top(); o != nil {
		c.drawOverlay(body, f.Body, o)
	}
	rows = append(rows, body...)
	rows = append(rows, c.theme.draw(c.noticeRule(), c.w))
	var foot line
	if c.top() == nil {
		foot = c.keyRow(c.screen, append(c.screen.keys(c), c.globalKeys()...), c.w)
	} else {
		foot = c.overlayFoot()
	}
	return append(rows, c.theme.draw(foot, c.w))
}

func (c *console) drawBody(r rect) []string {
	lines := c.screen.view(c, r.W, r.H)
	rows := make([]string, r.H)
	for i := range rows {
		var l line
		if i < len(lines) {
			l = lines[i]
		}
		rows[i] = c.theme.draw(l, r.W)
	}
	return rows
}

// drawOverlay draws a box over the rows of a body.
func (c *console) drawOverlay(rows []string, body rect, o overlay) {
	box := layoutOverlay(body, o.height(c, layoutOverlay(body, 0).W-4))
	look := accent
	ask, question := o.(*askOverlay)
	prompt, typing := o.(*promptOverlay)
	if question && (ask.q.Kind == incident.Typed || ask.irreversible(c) != "") || typing && prompt.danger() {
		look = danger
	}
	for i, l := range boxed(o.title(), look, o.view(c, box.W-4, box.H-2), box.W, box.H) {
		y := box.Y - body.Y + i
		left := ansi.Truncate(rows[y], box.X, "")
		right := ansi.TruncateLeft(rows[y], box.X+box.W, "")
		// A wide character that the box cuts in two leaves a blank.
		rows[y] = fit(fit(left, box.X)+c.theme.draw(l, box.W)+right, body.W)
	}
}

// boxed puts a frame around text.
func boxed(title string, look token, text []line, w, h int) []line {
	title = ansi.Truncate(opening(title, w), w-6, "…")
	top := row(span{look, "┌ "}, span{strong, title}, span{look, " " + strings.Repeat("─", max(0, w-4-cells(title))) + "┐"})
	out := []line{top}
	for i := range h - 2 {
		var l line
		if i < len(text) {
			l = text[i]
		}
		inner := cutLine(l, w-4)
		out = append(out, append(append(row(span{look, "│ "}), inner...), span{look, " │"}))
	}
	return append(out, row(span{look, "└" + strings.Repeat("─", max(0, w-2)) + "┘"}))
}

// cutLine gives a line exactly w cells and leaves its looks.
func cutLine(l line, w int) line {
	var out line
	for _, s := range l {
		if w <= 0 {
			break
		}
		text := ansi.Truncate(opening(s.text, w), w, "…")
		out = append(out, span{s.look, text})
		w -= cells(text)
	}
	return append(out, span{plain, strings.Repeat(" ", max(0, w))})
}

func (c *console) drawNotice() []string {
	instead := c.o.Instead
	if instead == "" {
		instead = "clawback watch " + c.rec.Declared.Incident
	}
	text := fmt.Sprintf("Response on %s. The console needs %dx%d; this is %dx%d. Enlarge it, or in another terminal:\n%s",
		shortTarget(c.rec.Declared.Target), minWidth, minHeight, c.w, c.h, instead)
	var rows []string
	for _, l := range append([]line{c.banner()}, paragraph(plain, text, c.w)...) {
		rows = append(rows, c.theme.draw(l, c.w))
	}
	return rows
}
