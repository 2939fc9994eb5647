package fake

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// peek reports, when a client is about to see its answer, whether the call stands in the record.
type peek struct {
	*httptest.ResponseRecorder
	k        *Knobs
	recorded int
}

func (p *peek) WriteHeader(status int) {
	p.recorded = len(p.k.Calls())
	p.ResponseRecorder.WriteHeader(status)
}

func TestAnswerRecordsBeforeItIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		next   http.HandlerFunc
		fault  Fault
		status int
		panics bool
	}{
		"with a status":    {next: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, status: http.StatusTeapot},
		"with a body":      {next: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }, status: http.StatusOK},
		"with two":         {next: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot); w.WriteHeader(500) }, status: http.StatusTeapot},
		"with a fault":     {fault: Fault{Status: http.StatusServiceUnavailable, Body: "busy"}, status: http.StatusServiceUnavailable},
		"cut short":        {fault: Fault{Cut: true, Status: http.StatusUnauthorized}, status: http.StatusUnauthorized, panics: true},
		"done, and unseen": {next: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, fault: Fault{CutAfter: true}, panics: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := NewKnobs(Wall{})
			k.SetFault(func(*http.Request) Fault { return c.fault })
			w := &peek{ResponseRecorder: httptest.NewRecorder(), k: k}
			r := httptest.NewRequest(http.MethodPost, "https://one.test/secret?x=y", strings.NewReader("body"))
			r.Header.Set(AdversaryHeader, "1")
			call := CallOf(r)
			call.Path = "/…"
			func() {
				defer func() {
					if got := recover(); (got != nil) != c.panics {
						t.Errorf("panic: %v", got)
					}
				}()
				k.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
					call.Action = "asked"
					if c.next != nil {
						c.next(w, r)
					}
				})
			}()
			calls := k.Calls()
			if len(calls) != 1 || calls[0].Status != c.status || calls[0].Path != "/…" || !calls[0].Adversary || calls[0].Method != http.MethodPost {
				t.Fatalf("recorded %+v", calls)
			}
			if asked := c.next != nil; asked != (calls[0].Action == "asked") {
				t.Errorf("action %q", calls[0].Action)
			}
			if c.status != 0 && w.recorded != 1 {
				t.Errorf("%d calls stood in the record when the client saw its answer", w.recorded)
			}
		})
	}
}

// What a handler leaves to net/http is 200; nobody's answer is none.
func TestAnswerWithoutAWord(t *testing.T) {
	k := NewKnobs(Wall{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	k.Answer(httptest.NewRecorder(), r, CallOf(r), func(http.ResponseWriter, *http.Request) {})
	if calls := k.Calls(); len(calls) != 1 || calls[0].Status != http.StatusOK {
		t.Errorf("recorded %+v", calls)
	}
}

func TestAnswerCanBeFlushed(t *testing.T) {
	k := NewKnobs(Wall{})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	k.Answer(w, r, CallOf(r), func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})
	if !w.Flushed {
		t.Error("it was not")
	}
}

func TestJSON(t *testing.T) {
	for kind, want := range map[string]string{"": "application/json", "application/json;charset=UTF-8": "application/json;charset=UTF-8"} {
		w := httptest.NewRecorder()
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		JSON(w, http.StatusTeapot, map[string]int{"a": 1})
		if w.Code != http.StatusTeapot || w.Body.String() != "{\"a\":1}\n" || w.Header().Get("Content-Type") != want {
			t.Errorf("%d %s %q", w.Code, w.Body, w.Header())
		}
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"Bearer abc": "abc", "": "", "abc": "", "Basic abc": "", "bearer abc": ""} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if got := Bearer(r); got != want {
			t.Errorf("%q: %q", header, got)
		}
	}
}

func TestRevocationTells(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	if got := (Revocation{}).String(); got != "live" {
		t.Error(got)
	}
	if a, b := (Revocation{At: at}).String(), (Revocation{At: at, looks: 3}).String(); a != b || a != "ended 2026-01-02T03:04:05.000000006Z" {
		t.Errorf("%s, %s", a, b)
	}
}

func TestDrawn(t *testing.T) {
	if p := Pick(Letters, 40); len(p) != 40 || strings.Trim(p, Letters) != "" || p == Pick(Letters, 40) {
		t.Error(p)
	}
	if h := Hex(20); len(h) != 40 || strings.Trim(h, "0123456789abcdef") != "" || h == Hex(20) {
		t.Error(h)
	}
	if g := GUID(); !regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`).MatchString(g) || g == GUID() {
		t.Error(g)
	}
}
