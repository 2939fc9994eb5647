package revoke

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"clawback/revoke/credential"
)

const (
	maxBody       = 1 << 20
	maxAnswer     = 200     // bytes of an answer that are kept
	maxAnswerText = 4 << 10 // bytes of a provider's text that are looked at
	maxRetryAfter = time.Hour

	secretPiece = 8 // bytes of a secret that give something away
	redacted    = "[secret]"
)

// ErrBodyTooLarge is returned for an answer of more than 1 MiB.
var ErrBodyTooLarge = errors.New("the answer is larger than 1 MiB")

// ReadBody reads an answer of at most 1 MiB. What was read of a longer or cut one is not returned:
// half an answer must not be taken for one.
func ReadBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", withoutQuote(err)) // a trailer may be malformed
	}
	if len(body) > maxBody {
		return nil, ErrBodyTooLarge
	}
	return body, nil
}

// Answer makes what a provider said fit to be shown and kept, as in "401 Bad credentials": one
// line of at most 200 bytes, without control characters and terminal escapes, and without any
// piece of the secret, plain or escaped. A status of 0 is left out.
func Answer(status int, text string, secret credential.Secret) string {
	if len(text) > maxAnswerText {
		text = text[:maxAnswerText]
	}
	// In this order: taking characters out may join two halves of a secret.
	text = withoutSecret(oneLine(text), secret)
	if status != 0 {
		if text == "" {
			text = http.StatusText(status)
		}
		text = strings.TrimSpace(strconv.Itoa(status) + " " + text)
	}
	return capped(text, maxAnswer)
}

// errNotHTTP stands for an error that quotes what a server sent.
var errNotHTTP = errors.New("the connection broke: what came back is no HTTP")

// WithoutURL takes out of an error of net/http what may be a secret: the address, since some
// addresses are, and what a server sent that is no HTTP, since it may be what it was sent. Every
// other cause stays in the chain.
func WithoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return withoutQuote(err)
}

// withoutQuote replaces the errors in which net/http and net/textproto quote a server.
func withoutQuote(err error) error {
	var protocol textproto.ProtocolError
	if errors.As(err, &protocol) || err != nil && strings.Contains(err.Error(), "transport connection broken") {
		return errNotHTTP
	}
	return err
}

// RetryAfter reads the Retry-After header, in seconds or as a date (RFC 9110, section 10.2.3). It
// is 0 where the header is missing, senseless or in the past, and at most an hour.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// oneLine strips terminal escape sequences, control and invisible characters, and folds white space.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "")
	var out strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == 0x1b || r == 0x9b:
			i += escapeLength(text[i:])
			continue
		case unicode.IsSpace(r):
			out.WriteByte(' ')
		case unicode.IsPrint(r): // not control, format (bidirectional overrides), private use
			out.WriteRune(r)
		}
		i += size
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// escapeLength is the length of the terminal escape sequence that s starts with: CSI with its
// parameters, or the introducer alone, whose rest is then harmless text.
func escapeLength(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	if s[0] == 0x1b {
		if len(s) < 2 || s[1] != '[' {
			return n
		}
		n++
	}
	for n < len(s) && s[n] >= 0x20 && s[n] < 0x40 { // parameters and intermediates
		n++
	}
	if n < len(s) && s[n] >= 0x40 && s[n] < 0x7f { // the final byte
		n++
	}
	return n
}

// withoutSecret replaces every run of text that pieces of the secret cover.
func withoutSecret(text string, secret credential.Secret) string {
	covered := make([]bool, len(text))
	pieces := make(map[string][]int) // each piece of the text, and where it stands
	low := lower(text)
	for i := 0; i+secretPiece <= len(low); i++ {
		pieces[low[i:i+secretPiece]] = append(pieces[low[i:i+secretPiece]], i)
	}
	for _, part := range secret.Parts() {
		for _, form := range forms(secret.Reveal(part)) {
			form = lower(form)
			if len(form) < secretPiece {
				coverWhole(covered, low, form)
				continue
			}
			for i := 0; i+secretPiece <= len(form); i++ {
				at := form[i : i+secretPiece]
				for _, start := range pieces[at] {
					cover(covered, start, secretPiece)
				}
				delete(pieces, at) // covered once is covered
			}
		}
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !covered[i]:
			out.WriteByte(text[i])
		case i == 0 || !covered[i-1]:
			out.WriteString(redacted)
		}
	}
	return strings.ToValidUTF8(out.String(), "")
}

func cover(covered []bool, start, n int) {
	for i := start; i < start+n; i++ {
		covered[i] = true
	}
}

// coverWhole covers a secret that is too short to have pieces; three bytes are no secret but
// would tear every text apart.
func coverWhole(covered []bool, text, form string) {
	if len(form) < 4 {
		return
	}
	for i := 0; i+len(form) <= len(text); i++ {
		if text[i:i+len(form)] == form {
			cover(covered, i, len(form))
		}
	}
}

// forms are the ways in which a value may stand in an answer or an address. Base64 has three,
// by what stood before the value.
func forms(value string) []string {
	quoted, _ := json.Marshal(value) // strings never fail
	all := []string{
		value, oneLine(value), hex.EncodeToString([]byte(value)),
		url.QueryEscape(value), url.PathEscape(value), string(quoted[1 : len(quoted)-1]),
	}
	for shift := range 3 {
		shifted := append(make([]byte, shift), value...)
		std := base64.RawStdEncoding.EncodeToString(shifted)
		inside := std[min(len(std), []int{0, 2, 3}[shift]):] // free of the bits of what stood before
		all = append(all, inside, strings.NewReplacer("+", "-", "/", "_").Replace(inside))
	}
	return all
}

// lower folds ASCII only, so that offsets stay.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// capped cuts s to at most n bytes, between two characters.
func capped(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	for n -= len(more); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + more
}
