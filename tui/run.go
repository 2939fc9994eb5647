package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// runScreen is the response while it goes on: the plan, what needs a person, the credentials, the log.
type runScreen struct {
	focus    focus
	selected itemKey // a need or a credential; none is the topmost
	listFrom int
	logBack  int // rows from the newest
	phase    int // selected in the plan
	planFrom int
	filter   field
	typing   bool // into the filter
	board    boardRows
}

func (s *runScreen) title() string { return "Response" }

// item is one row of the list: what needs a person comes before the board.
type item struct {
	need     *need
	cred     *incident.Credential
	harmless *incident.Harmless
}

// itemKey tells rows apart.
type itemKey struct {
	kind   byte // of a need's question, approval or manual credential, of the board's credential or harmless find
	id     string
	source credential.Source // of a harmless find
}

func (i item) key() itemKey {
	switch {
	case i.need != nil:
		return i.need.key()
	case i.harmless != nil:
		return itemKey{'h', i.harmless.Kind, i.harmless.Source}
	}
	return itemKey{kind: 'c', id: string(i.cred.Fingerprint)}
}

// credential is the credential that the row is about, or nil.
func (i item) credential() *incident.Credential {
	if i.need != nil {
		return i.need.manual
	}
	return i.cred
}

// rows are those of the list: what needs a person, and the board below it.
type rows struct{ needs, board []item }

func (r rows) len() int { return len(r.needs) + len(r.board) }

func (r rows) at(i int) item {
	if i < len(r.needs) {
		return r.needs[i]
	}
	return r.board[i-len(r.needs)]
}

// find is the row with a key. One that is gone gives way to the topmost.
func (r rows) find(key itemKey) int {
	for i := range r.len() {
		if r.at(i).key() == key {
			return i
		}
	}
	return 0
}

func (s *runScreen) rows(c *console) (r rows) {
	waiting := c.rec.needs(c.answered)
	for i := range waiting {
		r.needs = append(r.needs, item{need: &waiting[i]})
	}
	r.board = s.board.of(c.rec, s.filter.String())
	return r
}

func (s *runScreen) current(c *console) item {
	all := s.rows(c)
	if all.len() == 0 || s.focus != onList {
		return item{}
	}
	return all.at(all.find(s.selected))
}

func (s *runScreen) keys(c *console) []binding {
	if s.typing {
		return []binding{
			{keys: []string{"enter"}, label: "enter", text: "keep the filter", do: func() tea.Cmd { s.typing = false; return nil }},
			{keys: []string{"esc"}, label: "esc", text: "show all", do: func() tea.Cmd { s.typing, s.filter = false, field{}; return nil }},
		}
	}
	cur := s.current(c)
	all := []binding{s.enterKey(c, cur)}
	if cur.need != nil && cur.need.approval != nil {
		all = append(all, approvalKeys(c, cur.need.approval)...)
	} else {
		all = append(all, credentialKeys(c, cur.credential())...)
	}
	esc := binding{keys: []string{"esc"}, label: "esc", text: "show all credentials", quiet: true, do: func() tea.Cmd { s.filter = field{}; return nil }}
	if len(s.filter.text) == 0 {
		esc.off = "nothing is filtered"
	}
	return append(all,
		reportKey(c),
		noteKey(c),
		binding{keys: []string{"/"}, label: "/", text: "filter", do: func() tea.Cmd { s.typing, s.focus = true, onList; return nil }},
		addKey(c),
		inventoryKey(c),
		binding{keys: []string{"p"}, label: "p", text: "plan", do: func() tea.Cmd { return c.show(&c.plan) }},
		binding{keys: []string{"e"}, label: "e", text: "evidence", do: func() tea.Cmd { return c.show(&c.evidence) }},
		binding{keys: []string{"t"}, label: "t", text: "timeline", do: func() tea.Cmd { return c.show(&c.timeline) }},
		binding{keys: []string{"b"}, label: "b", text: "brief", do: func() tea.Cmd { return c.show(&c.brief) }},
		binding{keys: []string{"tab"}, label: "tab", text: "next pane", quiet: true, do: func() tea.Cmd { s.focus = (s.focus + 1) % focuses; return nil }},
		binding{keys: []string{"shift+tab"}, label: "shift+tab", text: "pane before", quiet: true, do: func() tea.Cmd { s.focus = (s.focus + focuses - 1) % focuses; return nil }},
		binding{keys: []string{"j", "down"}, label: "j ↓", text: "down", quiet: true, do: s.moves(c, 1)},
		binding{keys: []string{"k", "up"}, label: "k ↑", text: "up", quiet: true, do: s.moves(c, -1)},
		binding{keys: []string{"g", "home"}, label: "g", text: "to the top", quiet: true, do: s.moves(c, -bottom)},
		binding{keys: []string{"G", "end"}, label: "G", text: "to the end", quiet: true, do: s.moves(c, bottom)},
		esc,
	)
}

// enterKey opens what is selected.
func (s *runScreen) enterKey(c *console, cur item) binding {
	b := binding{keys: []string{"enter"}, label: "enter", text: "open"}
	switch {
	case s.focus == onPlan && s.phase < len(c.rec.Plan.Phases):
		b.do = func() tea.Cmd {
			if steps := c.rec.Plan.Phases[s.phase].Steps; len(steps) > 0 {
				c.plan.selected = steps[0].ID
			}
			return c.show(&c.plan)
		}
	case cur.need != nil && cur.need.question != nil:
		q := *cur.need.question
		b.text = "answer"
		if c.closed() != "" {
			b.text = "read"
		}
		b.do = func() tea.Cmd { return c.push(newAsk(c, q)) }
	case cur.need != nil && cur.need.approval != nil:
		step := cur.need.approval.Step
		b.do = func() tea.Cmd { c.plan.selected = step; return c.show(&c.plan) }
	case cur.credential() != nil:
		f := cur.credential().Fingerprint
		b.do = func() tea.Cmd { c.detail = detailScreen{of: f}; return c.show(&c.detail) }
	case cur.harmless != nil:
		b.off = incident.DoubtText(cur.harmless.Doubt)
	default:
		b.off = "nothing is selected"
	}
	return b
}

// next leads from what needs a person to the report.
func (s *runScreen) next(c *console) string {
	if s.typing {
		return "enter"
	}
	if !c.rec.active() {
		if c.rec.Report != nil && !c.report.read {
			return "v"
		}
		return "q"
	}
	all := s.rows(c)
	if len(all.needs) == 0 || c.closed() != "" {
		return ""
	}
	if s.focus != onList {
		return "tab"
	}
	at := all.find(s.selected)
	if at >= len(all.needs) {
		return "g"
	}
	it := all.at(at)
	switch {
	case it.need.manual != nil:
		return manualNext(c, it.need.manual)
	case it.need.approval != nil:
		return "" // others are to act; to go ahead without them is never suggested
	}
	return "enter"
}

func (s *runScreen) moves(c *console, by int) func() tea.Cmd {
	return func() tea.Cmd {
		switch s.focus {
		case onPlan:
			s.phase = max(0, min(len(c.rec.Plan.Phases)-1, s.phase+by))
		case onLog:
			s.logBack = max(0, min(len(c.rec.log)-1, s.logBack-by))
		default:
			all := s.rows(c)
			at := all.find(s.selected)
			s.selected = itemKey{}
			if by > -bottom && all.len() > 0 {
				s.selected = all.at(max(0, min(all.len()-1, at+by))).key()
			}
		}
		return nil
	}
}

func (s *runScreen) view(c *console, w, h int) []line {
	all := s.rows(c)
	at := -1 // no row
	if s.focus == onList {
		at = all.find(s.selected)
	}
	r := layoutRun(rect{0, 0, w, h}, len(all.needs), s.focus)
	out := make([]line, 0, h)
	left := s.planPane(c, r.Plan.W, r.Plan.H)
	right := s.needsPane(c, all.needs, at, r.Needs)
	for len(right) < r.Board.Y {
		right = append(right, nil)
	}
	right = append(right, s.boardPane(c, all.board, at-len(all.needs), r.Board)...)
	for y := range h - r.Log.H - 1 {
		var l line
		if r.Plan.W > 0 {
			l = append(l, cutLine(rowAt(left, y), r.Plan.W)...)
		}
		if r.Plan.W > 0 && r.Board.W > 0 {
			l = append(l, span{dim, "│"})
		}
		out = append(out, append(l, rowAt(right, y)...))
	}
	out = append(out, rule(w, append(row(s.head("LOG", onLog), span{dim, " UTC"}), c.witnesses()...)...))
	return append(out, s.logPane(c, r.Log.W, r.Log.H)...)
}

func rowAt(all []line, i int) line {
	if i < len(all) {
		return all[i]
	}
	return nil
}

// head is the title of a pane; the one with the focus stands out.
func (s *runScreen) head(text string, of focus) span {
	if s.focus == of {
		return span{accent, text}
	}
	return span{strong, text}
}

func (s *runScreen) needsPane(c *console, all []item, at int, r rect) []line {
	if r.H == 0 {
		return nil
	}
	needs := len(all)
	var head line
	who := " NEEDS YOU  "
	if c.o.Submit == nil {
		who = " NEEDS SOMEBODY  "
	}
	switch {
	case needs == 0 && c.rec.active():
		head = row(span{dim, who + "nothing now"})
	case needs == 0:
		head = row(span{dim, who + "nothing any more"})
	case c.rec.active():
		head = row(span{accent, fmt.Sprintf("%s%d", who, needs)})
	default:
		head = row(span{warn, fmt.Sprintf(" STILL OPEN  %d", needs)})
	}
	if n := c.rec.sent(c.answered); n > 0 {
		head = append(head, span{busy, fmt.Sprintf("   ◔ %d sent, not on record yet", n)})
	}
	out := []line{head}
	from := 0
	if at < needs {
		from = window(0, max(at, 0), needs, r.H-1)
	}
	for i := from; i < needs && len(out) < r.H; i++ {
		out = append(out, s.needRow(c, all[i], i == at))
	}
	if hidden := needs - (r.H - 1); hidden > 0 {
		out[0] = append(out[0], span{dim, fmt.Sprintf("  (%d of them below or above)", hidden)})
	}
	for len(out) < r.H {
		out = append(out, nil)
	}
	return out
}

func (s *runScreen) needRow(c *console, it item, selected bool) line {
	cursor, look := "  ", plain
	if selected {
		cursor, look = "▸ ", strong
	}
	if q := it.need.question; q != nil {
		kind := map[string]string{incident.Confirm: "yes or no", incident.Typed: "to be typed", incident.Choice: "to choose", incident.Guide: "to do", incident.Written: "to write"}[q.Kind]
		return row(span{accent, cursor}, span{accent, "? "}, span{look, q.Title}, span{dim, "  " + kind})
	}
	if a := it.need.approval; a != nil {
		text := "  approved " + c.rec.approvals(a.Step)
		return row(span{accent, cursor}, span{accent, "◇ "}, span{look, c.rec.title(a.Step)}, span{dim, text})
	}
	m := it.need.manual
	mk := lifeMark(credential.Manual)
	what := strings.TrimPrefix(m.Link, "https://")
	if what == "" {
		what = strings.Join(m.Steps, "; ")
	}
	if what == "" {
		what = kindTitle(m) + ": " + first(m.Error, m.Hint)
	}
	out := row(span{accent, cursor}, span{mk.look, mk.symbol + " "}, span{look, m.Provider + " " + shorten(m.Masked, 16)})
	if b := breaks(m); b != "" {
		out = append(out, span{warn, "  " + b})
	}
	return append(out, span{dim, "  " + what})
}

func (s *runScreen) planPane(c *console, w, h int) []line {
	if w == 0 || h == 0 {
		return nil
	}
	out := []line{row(s.head(" PLAN", onPlan))}
	s.phase = max(0, min(s.phase, len(c.rec.Plan.Phases)-1))
	var rows []line
	at := 0
	for i, phase := range c.rec.Plan.Phases {
		st := c.rec.status(phase)
		m := stepMark(st)
		cursor, look := " ", plain
		if s.focus == onPlan && i == s.phase {
			cursor, look, at = "▸", strong, len(rows)
		} else if st == incident.Waiting || st == incident.Skipped {
			look = dim
		}
		if w <= narrowPlan {
			rows = append(rows, row(span{accent, cursor}, span{m.look, m.symbol + " "}, span{look, phase.Title}))
		} else {
			rows = append(rows, row(span{accent, cursor}, span{m.look, m.symbol + " "}, span{look, column(phase.Title, w-12)}, span{m.look, " " + m.word}))
		}
		if s.focus != onPlan && (st == incident.Running || st == asking || st == approving) && at == 0 {
			at = len(rows) - 1
		}
	}
	s.planFrom = window(s.planFrom, at, len(rows), h-1)
	return append(out, rows[s.planFrom:min(len(rows), s.planFrom+h-1)]...)
}

// logPane shows the newest lines, the last one at the bottom.
func (s *runScreen) logPane(c *console, w, h int) []line {
	end := max(0, len(c.rec.log)-s.logBack)
	var out []line
	for _, l := range c.rec.log[max(0, end-h):end] {
		out = append(out, row(span{dim, " " + l.at.UTC().Format("15:04:05") + " "}, span{wordLook(l.word), column(l.word, 12) + " "}, span{plain, l.text}))
	}
	return out
}

// wordLook is how the first word of a line of the log looks.
func wordLook(word string) token {
	switch word {
	case string(credential.Dead), "frozen", "down", "sealed", "approved":
		return good
	case string(credential.Alive), string(credential.Failed), "RECORD LOST", "NOT FROZEN", "NOT DOWN", "BREAK GLASS", "HOST LOST", "NO AUTHORITY":
		return danger
	case "warning", string(credential.Unverified), string(credential.Manual), "interrupted", "refused", "resumed", "terminal":
		return warn
	case "question", "answer", "command", "note", "approval":
		return accent
	}
	return plain
}
