package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
)

func TestReadAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		err      error
	}{
		"lines":              {"one\ntwo\n.\nnext\n", "one\ntwo", nil},
		"left open":          {".\n", "", nil},
		"blank":              {" \n\n.\n", "", nil},
		"no end":             {"one\ntwo", "one\ntwo", io.EOF},
		"a dot at the end":   {"one\n.", "one", nil},
		"a dot in a line":    {"one.\n..\n.\n", "one.\n..", nil},
		"of Windows":         {"one\r\n.\r\n", "one", nil},
		"a dot after 4096":   {strings.Repeat("x", 4096) + ".\n.\n", strings.Repeat("x", 4096) + ".", nil},
		"nothing":            {"", "", io.EOF},
		"too long":           {strings.Repeat("x", 3*incident.MaxAnswer), "", errAny},
		"too long, in lines": {strings.Repeat("x\n", incident.MaxAnswer), "", errAny},
	} {
		got, err := readAnswer(bufio.NewReaderSize(strings.NewReader(c.in), 4096))
		if got != c.want || !errors.Is(err, c.err) && (c.err != errAny || err == nil) {
			t.Errorf("%s: %.40q, %v", name, got, err)
		}
	}
}

var errAny = errors.New("any")

// What the report of a closed incident leaves open is answered afterwards: in the record, with who said
// it, and in the report; what is left open stays open, and nothing is asked of anybody else.
func TestRealReview(t *testing.T) {
	t.Parallel()
	d, before := killed(t)
	id := before.Declared.Incident
	d.city.fakes["aws"].Knobs().SetFault(refuseChanges(t))
	d.city.fakes["github"].Knobs().SetFault(refuseChanges(t))
	review := func(typed string) ended {
		c := d.command("review", id)
		c.Stdin = strings.NewReader(typed)
		return d.run(c)
	}
	r := review(".\n.\n\n.\n")
	r.wants(t, incident.ExitNothing, "1 of 4: How did they get in?", "nothing was answered")
	r = review(strings.Repeat("x", incident.MaxAnswer+1) + "\n.\n")
	r.wants(t, incident.ExitUsage, "it has more than 8192 bytes", "nothing was put on record")
	if s, err := readRecord(d.incidents()[0]); err != nil || len(s.Resumed) != len(before.Resumed) {
		t.Fatalf("%v, taken up %+v", err, s.Resumed)
	}

	r = review("by a mail\nthat it read <b>\n.\n.\n.\na broker\n.\n")
	r.wants(t, 0)
	s, err := readRecord(d.incidents()[0])
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, q := range s.Unwritten() {
		open = append(open, q.Question)
	}
	if !slices.Equal(open, incident.ReviewQuestions[1:3]) || *s.Exit != *before.Exit || s.Resumed[len(s.Resumed)-1].For != incident.ToReview {
		t.Errorf("open %q, exit %d, taken up %+v", open, *s.Exit, s.Resumed)
	}
	if a := s.Written()[0]; a.Answer.Text != "by a mail\nthat it read <b>" || a.Answer.By == "" || a.At.IsZero() {
		t.Errorf("%+v", a)
	}
	text, err := os.ReadFile(filepath.Join(d.incidents()[0], "report.md"))
	if err != nil || !strings.Contains(string(text), "answered `How did they get in?` in writing:") || !strings.Contains(string(text), "that it read <b>") {
		t.Errorf("%v: the report lacks the answer\n%s", err, text)
	}
	verified := d.run(d.command("verify", id))
	verified.wants(t, 0)
	r = review("two files\n.\nnone\n")
	r.wants(t, 0, "1 of 2: What was accessed or done?")
	r = review("")
	r.wants(t, incident.ExitNothing, "leaves no question open")
}
