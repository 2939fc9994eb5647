package main

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	got := parse("a\x1b[1;36mb◔\x1b[0m c\x1b[38;5;80;48;5;16md\x1b[m\x1b[7me\x1b[2;27mf")
	want := []piece{
		{look{}, 0, "a"}, {look{fg: base[6], bold: true}, 1, "b◔"}, {look{}, 3, " c"},
		{look{fg: "#5fd7d7", bg: "#000000"}, 5, "d"}, {look{reverse: true}, 6, "e"}, {look{faint: true}, 7, "f"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func FuzzSVG(f *testing.F) {
	f.Add("┃\x1b[1;7;31m REAL \x1b[0m┃ <&>\n\x1b[38;5;999mx\x1b[")
	f.Fuzz(func(t *testing.T, screen string) {
		if strings.ContainsFunc(screen, func(r rune) bool {
			return r < ' ' && r != '\n' && r != 0x1b || r == 0xfffe || r == 0xffff || r == 0xfffd
		}) {
			t.Skip("a terminal's screen holds none of these")
		}
		for d := xml.NewDecoder(strings.NewReader(svg(screen, 80, 24))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}
