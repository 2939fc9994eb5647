package tui

import "testing"

func TestLayoutRun(t *testing.T) {
	for _, tc := range []struct {
		name  string
		w, h  int
		needs int
		on    focus
		want  runRects
	}{
		{"80x24", 80, 24, 2, onList, runRects{
			Plan: rect{0, 2, 15, 15}, Needs: rect{16, 2, 64, 3}, Board: rect{16, 6, 64, 11}, Rule: rect{0, 17, 80, 1}, Log: rect{0, 18, 80, 4}}},
		{"120x40", 120, 40, 0, onList, runRects{
			Plan: rect{0, 2, 32, 28}, Needs: rect{33, 2, 87, 1}, Board: rect{33, 4, 87, 26}, Rule: rect{0, 30, 120, 1}, Log: rect{0, 31, 120, 7}}},
		{"narrow: no plan", 60, 15, 9, onList, runRects{
			Needs: rect{0, 2, 60, 4}, Board: rect{0, 6, 60, 4}, Rule: rect{0, 10, 60, 1}, Log: rect{0, 11, 60, 2}}},
		{"narrow, plan focused", 60, 15, 9, onPlan, runRects{
			Plan: rect{0, 2, 60, 8}, Rule: rect{0, 10, 60, 1}, Log: rect{0, 11, 60, 2}}},
		{"log focused", 80, 24, 2, onLog, runRects{
			Plan: rect{0, 2, 15, 9}, Needs: rect{16, 2, 64, 3}, Board: rect{16, 5, 64, 6}, Rule: rect{0, 11, 80, 1}, Log: rect{0, 12, 80, 10}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := layoutRun(layoutFrame(tc.w, tc.h).Body, tc.needs, tc.on); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// At any size, the parts lie inside the screen and no two of them share a cell.
func TestLayoutNeverOverlaps(t *testing.T) {
	for w := minWidth; w <= 300; w += 7 {
		for h := minHeight; h <= 80; h++ {
			f := layoutFrame(w, h)
			for _, on := range []focus{onList, onLog, onPlan} {
				for _, needs := range []int{0, 1, 5, 500} {
					r := layoutRun(f.Body, needs, on)
					apart(t, w, h, f.Banner, f.Status, f.Notice, f.Footer, r.Plan, r.Needs, r.Board, r.Rule, r.Log)
					if r.Plan.W == 0 && r.Board.H < 2 {
						t.Fatalf("%dx%d with %d needs: the board has %d rows", w, h, needs, r.Board.H)
					}
				}
			}
			list, rule, step := layoutPlan(f.Body)
			apart(t, w, h, f.Banner, f.Status, f.Notice, f.Footer, list, rule, step)
			for lines := 0; lines < 100; lines += 9 {
				box := layoutOverlay(f.Body, lines)
				if box.X < 0 || box.Y < f.Body.Y || box.X+box.W > w || box.Y+box.H > f.Body.Y+f.Body.H {
					t.Fatalf("%dx%d: overlay %+v leaves the body", w, h, box)
				}
			}
		}
	}
}

func apart(t *testing.T, w, h int, all ...rect) {
	t.Helper()
	for i, a := range all {
		if a.W < 0 || a.H < 0 || a.X < 0 || a.Y < 0 || a.X+a.W > w || a.Y+a.H > h {
			t.Fatalf("%dx%d: %+v is outside", w, h, a)
		}
		for _, b := range all[:i] {
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Fatalf("%dx%d: %+v and %+v overlap", w, h, a, b)
			}
		}
	}
}

func TestWindow(t *testing.T) {
	for _, tc := range []struct{ from, at, n, h, want int }{
		{0, 0, 0, 5, 0}, {0, 4, 10, 5, 0}, {0, 5, 10, 5, 1}, {6, 2, 10, 5, 2}, {9, 9, 10, 5, 5}, {3, 3, 2, 5, 0}, {0, 3, 9, 0, 0},
	} {
		if got := window(tc.from, tc.at, tc.n, tc.h); got != tc.want {
			t.Errorf("window(%d, %d, %d, %d) = %d, want %d", tc.from, tc.at, tc.n, tc.h, got, tc.want)
		}
	}
}
