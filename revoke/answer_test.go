package revoke

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"clawback/revoke/credential"
)

func TestAnswer(t *testing.T) {
	none := credential.Secret{}
	for name, c := range map[string]struct {
		status int
		text   string
		want   string
	}{
		"plain":                {401, "Bad credentials", "401 Bad credentials"},
		"no text":              {404, "", "404 Not Found"},
		"no text, odd status":  {599, "", "599"},
		"no status":            {0, "connection refused", "connection refused"},
		"lines":                {502, "<html>\r\n  <body>\tBad</body>", "502 <html> <body> Bad</body>"},
		"colour":               {401, "\x1b[31;1mred\x1b[0m", "401 red"},
		"one-byte introducer":  {401, "\u009b31mred", "401 red"},
		"title":                {401, "\x1b]0;owned\x07x", "401 ]0;ownedx"},
		"escape at the end":    {401, "x\x1b", "401 x"},
		"sequence at the end":  {401, "x\x1b[1;", "401 x"},
		"nul and backspace":    {401, "a\x00b\x08c", "401 abc"},
		"bidirectional":        {401, "a\u202eb", "401 ab"},
		"invalid UTF-8":        {401, "a\xffb", "401 ab"},
		"long":                 {401, strings.Repeat("x", 500), "401 " + strings.Repeat("x", 193) + "…"},
		"long, between runes":  {401, strings.Repeat("é", 500), "401 " + strings.Repeat("é", 96) + "…"},
		"what clears the line": {200, "ok\x1b[2K\rno", "200 ok no"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Answer(c.status, c.text, none); got != c.want {
				t.Errorf("Answer = %q, want %q", got, c.want)
			}
		})
	}
}

// randomValue is a secret with characters that URLs, JSON and base64 write in their own ways.
func randomValue(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/+=&<>\"\\ %:"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return "s" + string(b) + "e"
}

// leaks names the first form of value of which text shows eight bytes.
func leaks(text, value string) string {
	for _, form := range []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value)), base64.URLEncoding.EncodeToString([]byte(value))} {
		for i := 0; i+8 <= len(form); i++ {
			if strings.Contains(text, form[i:i+8]) {
				return form[i : i+8]
			}
		}
	}
	return ""
}

func TestAnswerHidesTheSecret(t *testing.T) {
	for range 200 {
		value := randomValue(30)
		secret := credential.NewSecret(map[string]string{"id": "not here", "value": value})
		for name, text := range map[string]string{
			"plain":         "no such token: " + value + ", sorry",
			"half":          "no such token: " + value[:15] + "...",
			"alone":         value,
			"twice":         value + value,
			"hex":           "0x" + hex.EncodeToString([]byte(value)),
			"hex, capitals": strings.ToUpper(hex.EncodeToString([]byte(value))),
			"query":         "GET /x?token=" + url.QueryEscape(value),
			"path":          "GET /" + url.PathEscape(value),
			"base64":        base64.StdEncoding.EncodeToString([]byte(value)),
			"base64 url":    base64.RawURLEncoding.EncodeToString([]byte(value)),
			"capitals":      strings.ToUpper(value),
			"torn apart":    value[:9] + "\x00" + value[9:20] + "\x1b[0m" + value[20:],
			"JSON":          fmt.Sprintf("%q", value),
			"at the cap":    strings.Repeat("x", 170) + value,
		} {
			got := Answer(401, text, secret)
			if piece := leaks(got, value); piece != "" {
				t.Fatalf("%s: the answer shows %q of the secret", name, piece)
			}
			if len(got) > maxAnswer {
				t.Fatalf("%s: %d bytes", name, len(got))
			}
		}
		for before := range 3 { // Basic authentication puts a name before it
			got := Answer(401, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before)+value)), secret)
			inner := base64.RawStdEncoding.EncodeToString([]byte(value[3-before : len(value)-3]))
			if strings.Contains(got, inner[:8]) || !strings.Contains(got, redacted) {
				t.Fatalf("base64 after %d bytes is shown", before)
			}
		}
	}
}

func TestAnswerKeepsTheRest(t *testing.T) {
	value := randomValue(40)
	got := Answer(401, "token "+value+" is revoked", credential.Value(value))
	if want := "401 token [secret] is revoked"; got != want {
		t.Errorf("Answer = %q, want %q", got, want)
	}
	if got := Answer(401, "pin 4711x is wrong", credential.Value("4711x")); got != "401 pin [secret] is wrong" {
		t.Errorf("short secret: %q", got)
	}
	if got := Answer(401, "a bad b", credential.Value("b")); got != "401 a bad b" {
		t.Errorf("one letter: %q", got)
	}
}

func TestReadBody(t *testing.T) {
	if b, err := ReadBody(strings.NewReader(strings.Repeat("x", maxBody))); err != nil || len(b) != maxBody {
		t.Errorf("1 MiB: %d bytes, %v", len(b), err)
	}
	if b, err := ReadBody(strings.NewReader(strings.Repeat("x", maxBody+1))); !errors.Is(err, ErrBodyTooLarge) || b != nil {
		t.Errorf("1 MiB and a byte: %d bytes, %v", len(b), err)
	}
	if b, err := ReadBody(failing{}); !errors.Is(err, errCut) || b != nil {
		t.Errorf("cut: %q, %v", b, err)
	}
}

var errCut = errors.New("cut")

type failing struct{}

func (failing) Read(p []byte) (int, error) { return copy(p, "half"), errCut }

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 5, 3, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		" 7 ":                           7 * time.Second,
		"-7":                            0,
		"7.5":                           0,
		"soon":                          0,
		"3601":                          time.Hour,
		"18446744073709551615":          time.Hour,
		"99999999999999999999999":       0,
		"Thu, 05 Nov 2026 03:00:30 GMT": 30 * time.Second,
		"Thu, 05 Nov 2026 02:00:00 GMT": 0,
		"Fri, 06 Nov 2026 03:00:00 GMT": time.Hour,
	} {
		h := http.Header{}
		h.Set("Retry-After", value)
		if got := RetryAfter(h, now); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", value, got, want)
		}
	}
	if got := RetryAfter(http.Header{}, now); got != 0 {
		t.Errorf("no header: %v", got)
	}
}

func TestWithoutURL(t *testing.T) {
	err := fmt.Errorf("probe: %w", &url.Error{Op: "Get", URL: "https://h/secret-path", Err: context.DeadlineExceeded})
	got := WithoutURL(err)
	if strings.Contains(got.Error(), "secret-path") || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("WithoutURL = %v", got)
	}
	if plain := errors.New("plain"); WithoutURL(plain) != plain || WithoutURL(nil) != nil {
		t.Error("an error without an address is changed")
	}
}

// A server that answers with what it was sent makes net/http quote it: in a status line, in a
// header and, after the body, in a trailer.
func TestErrorsDoNotQuoteTheServer(t *testing.T) {
	const secret = "what-was-sent"
	for name, raw := range map[string]string{
		"status line": secret + "\r\n\r\n",
		"status":      "HTTP/1.1 " + secret + "\r\n\r\n",
		"header":      "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n" + secret + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					defer func() { _ = far.Close() }()
					if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
						_, _ = io.WriteString(far, raw)
					}
				}()
				return near, nil
			}}}
			resp, err := client.Get("http://h/" + secret)
			if err == nil {
				_, err = ReadBody(resp.Body)
				_ = resp.Body.Close()
			}
			if err == nil {
				t.Fatal("no error")
			}
			for err = WithoutURL(err); err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("shown: %v", err)
				}
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(401, "Bad credentials", "xoxb-0123456789")
	f.Add(0, "\x1b[31mxoxb-\x000123456789\x1b", "xoxb-0123456789")
	f.Add(200, "{\"token\":\"a%2Fb\"}", "a/b")
	f.Fuzz(func(t *testing.T, status int, text, value string) {
		got := Answer(status, text, credential.Value(value))
		if len(got) > maxAnswer || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x07\x08\x1b\r\n\t\x7f") {
			t.Fatalf("unsafe answer %q", got)
		}
		if !utf8.ValidString(value) || len(value) < 8 {
			return
		}
		shown := strings.ReplaceAll(Answer(0, text, credential.Value(value)), redacted, "\n")
		for i := 0; i+8 <= len(value); i++ {
			if strings.Contains(shown, value[i:i+8]) {
				t.Fatalf("answer %q shows %q", shown, value[i:i+8])
			}
		}
	})
}
