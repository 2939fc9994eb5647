package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// markdown lays Markdown out for reading: its marks stay, headings and quotes stand out, lists
// hang and tables line up.
func markdown(text string, w int) []line {
	var out []line
	var table []string
	code := false
	flush := func() {
		out = append(out, layTable(table, w)...)
		table = nil
	}
	for src := range strings.SplitSeq(text, "\n") {
		if !code && strings.HasPrefix(src, "|") {
			table = append(table, src)
			continue
		}
		flush()
		look := plain
		switch {
		case strings.HasPrefix(src, "```"):
			code, look = !code, dim
		case code:
		case strings.HasPrefix(src, "#"):
			look = accent
		case strings.HasPrefix(src, ">"):
			look = dim
		}
		hang := 0
		if strings.HasPrefix(src, "- ") || strings.HasPrefix(src, "* ") {
			hang = 2
		}
		for i, l := range wrap(src, w-hang) {
			if i > 0 {
				l = strings.Repeat(" ", hang) + l
			}
			out = append(out, row(span{look, l}))
		}
	}
	flush()
	return out
}

// maxColumns bounds the columns of a table that is laid out.
const maxColumns = 12

// layTable lines the cells of a table up, and wraps those that are too wide.
func layTable(rows []string, w int) []line {
	var cells [][]string
	var widths []int
	for _, r := range rows {
		parts := strings.SplitN(strings.Trim(strings.TrimSpace(clean(r)), "|"), "|", maxColumns)
		for i, p := range parts {
			parts[i] = strings.TrimSpace(p)
			if i == len(widths) {
				widths = append(widths, 1)
			}
			if strings.Trim(parts[i], "-: ") != "" {
				widths[i] = max(widths[i], ansi.StringWidth(parts[i]))
			}
		}
		cells = append(cells, parts)
	}
	narrow(widths, w-2*len(widths))
	var out []line
	for i, parts := range cells {
		if strings.Trim(strings.Join(parts, ""), "-: ") == "" { // the rule below the head
			total := 0
			for _, cw := range widths {
				total += cw + 2
			}
			out = append(out, row(span{dim, strings.Repeat("─", max(0, total-2))}))
			continue
		}
		look := plain
		if i == 0 {
			look = strong
		}
		out = append(out, layRow(parts, widths, look)...)
	}
	return out
}

func layRow(parts []string, widths []int, look token) []line {
	var out []line
	var wrapped [][]string
	height := 1
	for i, p := range parts {
		wrapped = append(wrapped, wrap(p, widths[i]))
		height = max(height, len(wrapped[i]))
	}
	for y := range height {
		var l line
		for i, cell := range wrapped {
			text := ""
			if y < len(cell) {
				text = cell[y]
			}
			l = append(l, span{look, column(text, widths[i]) + "  "})
		}
		out = append(out, l)
	}
	return out
}

// narrow takes from the widest column until all fit.
func narrow(widths []int, room int) {
	for {
		total, widest := 0, 0
		for i, cw := range widths {
			total += cw
			if cw > widths[widest] {
				widest = i
			}
		}
		if total <= room || len(widths) == 0 || widths[widest] <= 4 {
			return
		}
		// Down to the next widest at once, or a long cell would take as many rounds as it has cells.
		second := 4
		for i, cw := range widths {
			if i != widest {
				second = max(second, min(cw, widths[widest]-1))
			}
		}
		widths[widest] = max(second, widths[widest]-(total-room), 4)
	}
}
