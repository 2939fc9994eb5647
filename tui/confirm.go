package tui

import "strings"

// confirmation is a text that a person types, letter by letter, before what cannot be undone.
type confirmation struct {
	want  string
	field field
}

func (f *confirmation) given() bool { return f.want != "" && f.field.String() == f.want }

// next is the next character of what has to be typed; then enter.
func (f *confirmation) next() string {
	rest, ok := strings.CutPrefix(f.want, f.field.String())
	switch {
	case !ok:
		return "backspace"
	case rest == "":
		return "enter"
	}
	return string([]rune(rest)[0])
}

// lines are what to type, and the field; tail is what else can be typed.
func (f *confirmation) lines(w int, tail string) []line {
	ask := row(span{plain, "Type  "})
	if rest, ok := strings.CutPrefix(f.want, f.field.String()); ok && rest != "" {
		r := []rune(rest)
		ask = append(ask, span{good, f.field.String()}, span{next, string(r[0])}, span{strong, string(r[1:])})
	} else {
		ask = append(ask, span{strong, f.want})
	}
	return []line{nil, append(ask, span{plain, "  to go on" + tail}), f.field.line(w)}
}

// refuse says that something else was typed.
func (f *confirmation) refuse(c *console) {
	c.complain("that is not “" + f.want + "”: nothing happens")
}
