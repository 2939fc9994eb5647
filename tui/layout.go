package tui

// The least terminal that the console fits into.
const (
	minWidth  = 60
	minHeight = 15
)

// rect is a part of the screen, in cells from its top left.
type rect struct{ X, Y, W, H int }

// frameRects is what every screen has around its body.
type frameRects struct {
	Banner rect // mode, incident, clock, count
	Status rect // a rule that says what goes on
	Body   rect
	Notice rect // a rule that says what a key did
	Footer rect // keys
}

func layoutFrame(w, h int) frameRects {
	return frameRects{
		Banner: rect{0, 0, w, 1},
		Status: rect{0, 1, w, 1},
		Body:   rect{0, 2, w, h - 4},
		Notice: rect{0, h - 2, w, 1},
		Footer: rect{0, h - 1, w, 1},
	}
}

// focus is the pane of the run screen that takes the arrows.
type focus int

const (
	onList focus = iota // what needs a person, and the credentials below it
	onLog
	onPlan
	focuses
)

// narrowPlan is the width of a plan that shows the state of a phase by its symbol alone.
const narrowPlan = 15

// runRects is the body of the run screen. A pane without room has no height or no width.
type runRects struct {
	Plan  rect
	Needs rect
	Board rect
	Rule  rect // above the log
	Log   rect
}

// layoutRun divides a body. needs is the number of things that need a person.
func layoutRun(body rect, needs int, on focus) runRects {
	logs := min(max(body.H/5, 2), 8)
	if on == onLog {
		logs = max(logs, body.H/2)
	}
	upper := body.H - logs - 1
	r := runRects{
		Rule: rect{body.X, body.Y + upper, body.W, 1},
		Log:  rect{body.X, body.Y + upper + 1, body.W, logs},
	}
	right := rect{body.X, body.Y, body.W, upper}
	switch {
	case body.W >= 76: // side by side, a rule of one cell between them
		plan := min(max(body.W/4+2, 22), 38)
		if body.W < 100 { // the board needs the room: symbols without their words
			plan = narrowPlan
		}
		r.Plan = rect{body.X, body.Y, plan, upper}
		right = rect{body.X + plan + 1, body.Y, body.W - plan - 1, upper}
	case on == onPlan: // one at a time
		r.Plan = rect{body.X, body.Y, body.W, upper}
		return r
	}
	rows, gap := min(1+max(needs, 0), max(2, upper/2)), 0
	if upper >= 14 {
		gap = 1
	}
	r.Needs = rect{right.X, right.Y, right.W, rows}
	r.Board = rect{right.X, right.Y + rows + gap, right.W, upper - rows - gap}
	return r
}

// layoutPlan divides the body of the plan screen: the steps, a rule, and the selected step.
func layoutPlan(body rect) (list, rule, step rect) {
	n := min(max(body.H/3, 4), 10)
	list = rect{body.X, body.Y, body.W, body.H - n - 1}
	rule = rect{body.X, body.Y + list.H, body.W, 1}
	step = rect{body.X, rule.Y + 1, body.W, n}
	return list, rule, step
}

// layoutOverlay places a box with so many lines of text over a body.
func layoutOverlay(body rect, lines int) rect {
	w := min(body.W-2, 84)
	h := min(lines+2, body.H)
	return rect{body.X + (body.W-w)/2, body.Y + (body.H-h)/2, w, h}
}

// window says which of n rows to show in h rows so that the row at is in sight, moving from as
// little as it can.
func window(from, at, n, h int) int {
	if h <= 0 {
		return 0
	}
	if at < from {
		from = at
	}
	if at >= from+h {
		from = at - h + 1
	}
	return max(0, min(from, n-h))
}
