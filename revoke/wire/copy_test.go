package wire_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/wire"
)

var errNoRoom = errors.New("no room")

type noRoom struct{}

func (noRoom) Write([]byte) (int, error) { return 0, errNoRoom }

// What is copied is copied as it is, up to the bound, and what is no whole answer has an error.
func TestCopy(t *testing.T) {
	long := rand.Text() + strings.Repeat("line\n", 1<<19) // more than an answer may have that is kept in memory
	token := rand.Text()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "not with "+token)
		case "/cut":
			w.Header().Set("Content-Length", strconv.Itoa(len(long)+1))
			_, _ = io.WriteString(w, long)
		default:
			_, _ = io.WriteString(w, long)
		}
	}))
	defer server.Close()
	c, err := wire.New(revoke.Env{HTTP: revoke.NewClient(server.Client().Transport)}, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path   string
		most   int
		copied string
		status int
		fails  bool
	}{
		"all of it":    {"/", len(long) + 1, long, 200, false},
		"just all":     {"/", len(long), long, 200, false},
		"one too many": {"/", len(long) - 1, long[:len(long)-1], 200, true},
		"cut":          {"/cut", 2 * len(long), long, 200, true},
		"refused":      {"/refused", 2 * len(long), "", 403, false},
	} {
		var out bytes.Buffer
		p, err := c.Copy(t.Context(), wire.Request{Method: http.MethodGet, Path: tc.path, Bearer: token}, &out, int64(tc.most))
		if err != nil || (p.Err != nil) != tc.fails || p.Status != tc.status || out.String() != tc.copied {
			t.Errorf("%s: %d, %v, %v, %d bytes", name, p.Status, p.Err, err, out.Len())
		}
		if text := p.Text(string(p.Body)); strings.Contains(text, token) || tc.status == 403 && !strings.Contains(text, "not with") {
			t.Errorf("%s: it says %q", name, text)
		}
	}
	p, err := c.Copy(t.Context(), wire.Request{Method: http.MethodGet, Path: "/"}, noRoom{}, 1<<30)
	if !errors.Is(err, errNoRoom) || p.Err == nil {
		t.Errorf("without room: %v, %v", err, p.Err)
	}
	server.Close()
	if p, err := c.Copy(t.Context(), wire.Request{Method: http.MethodGet, Path: "/"}, io.Discard, 1); err != nil || p.Err == nil || p.Status != 0 {
		t.Errorf("nobody there: %d, %v, %v", p.Status, p.Err, err)
	}
}
