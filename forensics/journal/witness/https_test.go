package witness

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/journal"
)

// entriesOf makes a record of n entries.
func entriesOf(t testing.TB, n int) []journal.Entry {
	t.Helper()
	j := journal.InMemory(time.Now)
	for range n {
		if err := j.Append(t.Context(), "note", map[string]string{"text": "größer: \"\\\"\u202e 日本 " + rand.Text()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var all []journal.Entry
	for e, err := range j.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// deliveryOf is of entries in a row, with a checkpoint over the last of them when note is not empty.
func deliveryOf(entries []journal.Entry, note string) Delivery {
	d := Delivery{Incident: "INC-1", Entries: entries}
	if len(entries) > 0 {
		d.First, d.Last = entries[0].Seq, entries[len(entries)-1].Seq
	}
	if note != "" {
		d.Checkpoint, d.Size = []byte(note), d.Last
	}
	return d
}

// linesOf is what a journal of these entries looks like.
func linesOf(entries []journal.Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		b.Write(append(e.Line(), '\n'))
	}
	return b.Bytes()
}

func TestHTTPSPostsLinesAndNoteAsTheyAre(t *testing.T) {
	token := rand.Text()
	var got []Post
	var keys []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p Post
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("%s %v, %v", r.Method, err, r.Header.Get("Content-Type"))
		}
		got, keys = append(got, p), append(keys, r.Header.Get("Idempotency-Key"))
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	sink, err := NewHTTPS(server.URL+"/in", func() (string, error) { return token, nil }, roots)
	if err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(t, 3)
	note := "clawback/INC-1\n3\nAAAA\n\n— clawback/INC-1 BBBB\n"
	for _, d := range []Delivery{deliveryOf(entries, note), deliveryOf(entries, note), {Incident: "INC-1", Checkpoint: []byte(note), Size: 3}} {
		if err := sink.Send(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 3 || got[0].First != 1 || got[0].Last != 3 || got[0].Checkpoint != note || got[0].Size != 3 || got[2].Lines != nil {
		t.Fatalf("%+v", got)
	}
	for i, e := range entries {
		if got[0].Lines[i] != string(e.Line()) {
			t.Errorf("line %d is %q", i+1, got[0].Lines[i])
		}
	}
	if want := []string{"INC-1-1-3-3", "INC-1-1-3-3", "INC-1-0-0-3"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q", keys)
	}
}

func TestHTTPSTakesNothingForSuccessBut2xx(t *testing.T) {
	for _, test := range []struct {
		code  int
		after string
		wait  time.Duration // asked for; 0 for the usual back-off
	}{
		{200, "", 0}, {201, "", 0}, {204, "", 0},
		{301, "", time.Minute}, {307, "", time.Minute}, {304, "", time.Minute}, {400, "", time.Minute}, {401, "", time.Minute}, {413, "", time.Minute},
		{429, "", 0}, {429, "7", 7 * time.Second}, {500, "", 0}, {503, "120", 2 * time.Minute}, {503, "soon", 0}, {503, "-1", 0}, {503, "Thu, 01 Jan 1970 00:00:00 GMT", 0},
	} {
		secret, followed := rand.Text(), false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			followed = followed || r.URL.Path == "/elsewhere"
			w.Header().Set("Location", "/elsewhere")
			if test.after != "" {
				w.Header().Set("Retry-After", test.after)
			}
			w.WriteHeader(test.code)
			if test.code != 204 && test.code != 304 {
				_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("Authorization"), 10_000))
			}
		}))
		sink, err := NewHTTPS(server.URL, func() (string, error) { return secret, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), ""))
		server.Close()
		if (err == nil) != (test.code < 300) || followed {
			t.Errorf("%d: %v, followed %v", test.code, err, followed)
		}
		var later *LaterError
		if errors.As(err, &later) != (test.wait > 0) || later != nil && later.After != test.wait {
			t.Errorf("%d, Retry-After %q: %v", test.code, test.after, later)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%d: the token stands in the error", test.code)
		}
	}
}

func TestHTTPSErrorsHoldNoURL(t *testing.T) {
	secret := rand.Text()
	sink, err := NewHTTPS("http://127.0.0.1:1/"+secret+"?key="+secret, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), Delivery{Incident: "INC-1"}); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("nobody listens there: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the end"))
	if err := sink.Send(ctx, Delivery{Incident: "INC-1"}); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("ctx was done: %v", err)
	}
	for _, bad := range []string{"http://audit.example.com/", "ftp://audit.example.com/", "https://", "/path", "https://" + secret + "@audit.example.com/", "https://a:" + secret + "@audit.example.com/", "http://127.0.0.1.example.com/", "https://x/#f", "http://[::1", "https://:443/"} {
		if err := CheckURL(bad); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", strings.ReplaceAll(bad, secret, "…"), err)
		}
	}
}

func TestHTTPSTrustsNobodyElse(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = quiet(t)
	server.StartTLS()
	defer server.Close()
	sink, err := NewHTTPS(server.URL, nil, x509.NewCertPool())
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), Delivery{Incident: "INC-1"}); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("its certificate is signed by nobody that we know: %v", err)
	}
}
