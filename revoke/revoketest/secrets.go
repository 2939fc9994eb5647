package revoketest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// checkEchoes makes the provider say all that it can, while its server echoes what it was sent,
// and looks for pieces of the secrets in it.
func checkEchoes(w *world) error {
	c := w.mint()
	secrets := []credential.Credential{c, w.authority}
	for _, dead := range []bool{false, true} {
		if dead {
			if err := w.kill(c); err != nil {
				return err
			}
		}
		for name, fault := range echoes() {
			w.fake.Knobs().SetFault(fault)
			said := w.say(c)
			w.fake.Knobs().SetFault(nil)
			if err := leaks(said, secrets); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, host := range w.fake.Hosts() {
		w.net.Handle(host, http.HandlerFunc(echoRaw))
	}
	if err := leaks(w.say(c), secrets); err != nil {
		return fmt.Errorf("an answer that is no HTTP: %w", err)
	}
	return nil
}

// echoRaw answers with what was asked, which is no HTTP: net/http quotes that in its error.
func echoRaw(w http.ResponseWriter, r *http.Request) {
	text := requestText(r)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, text+"\r\n\r\n")
}

func leaks(said map[string]string, secrets []credential.Credential) error {
	for _, s := range secrets {
		if where, ok := Leak(said, s); ok {
			return fmt.Errorf("%s shows a piece of the secret", where)
		}
	}
	return nil
}

// say calls everything and renders everything that comes back, by the name of where it stood.
func (w *world) say(c credential.Credential) map[string]string {
	said := make(map[string]string)
	put := func(name string, v any) {
		text := fmt.Sprintf("%v\n%+v\n%#v\n", v, v, v)
		if err, ok := v.(error); ok {
			text += chain(err)
		} else if b, err := json.Marshal(v); err == nil {
			text += string(b)
		}
		said[name] = text
	}
	put("the verdict", w.verify(c))
	exposure, err := w.inspect(c)
	put("the exposure", exposure)
	put("Inspect's error", err)
	receipt, err := w.revoke(c)
	put("the receipt", receipt)
	put("Revoke's error", err)
	if b, ok := w.provider.(revoke.Batcher); ok && b.Batchable(c) {
		receipt, err := w.revokeBatch(b, c)
		put("the batch's receipt", receipt)
		put("RevokeBatch's error", err)
	}
	return said
}

// chain renders every error that errors.As could reach.
func chain(err error) string {
	text := err.Error() + "\n"
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			text += chain(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			text += chain(inner)
		}
	}
	return text
}

// echoes are answers that give back what was asked, in every place where providers put a message.
func echoes() map[string]func(*http.Request) fake.Fault {
	all := map[string]func(*http.Request) fake.Fault{
		"no fault":    nil,
		"no answer":   always(fake.Fault{Hang: true}),
		"cut body":    always(fake.Fault{Cut: true}),
		"answer lost": always(fake.Fault{CutAfter: true}),
	}
	for _, status := range []int{200, 202, 302, 400, 401, 403, 404, 422, 429, 500, 503} {
		for kind, shape := range map[string]string{
			"text/plain":                      "%s",
			"application/json":                `{"ok":false,"error":%[1]q,"message":%[1]q,"error_description":%[1]q,"login":%[1]q,"user":%[1]q,"id":%[1]q}`,
			"application/json; charset=utf-8": `{"error":{"type":"invalid_request_error","code":%[1]q,"message":%[1]q},"errors":[{"message":%[1]q}],"message":%[1]q}`,
			"text/xml":                        `<ErrorResponse><Error><Type>Sender</Type><Code>%[1]s</Code><Message>%[1]s</Message></Error><RequestId>%[1]s</RequestId></ErrorResponse>`,
		} {
			all[fmt.Sprintf("%d %s", status, kind)] = func(r *http.Request) fake.Fault {
				return fake.Fault{Status: status, Type: kind, Body: fmt.Sprintf(shape, requestText(r))}
			}
		}
	}
	return all
}

// requestText is all that a request held, Basic authentication also in the clear, on one line
// that JSON and XML take as it is.
func requestText(r *http.Request) string {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	user, password, _ := r.BasicAuth()
	text := user + " " + password + " " + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + " " + r.RequestURI + " " + string(body)
	for name, values := range r.Header {
		text += " " + name + ":" + strings.Join(values, ",")
	}
	return strings.NewReplacer("<", "", ">", "", "&", " ", "\n", " ", "\r", " ").Replace(text)
}

// Leak reports where a piece of eight bytes of a secret stands, beyond what its mask and its Ref
// show anyway.
func Leak(said map[string]string, c credential.Credential) (where string, found bool) {
	for _, part := range c.Secret.Parts() {
		prefix, _, _ := strings.Cut(credential.Mask(c.Kind, c.Secret, c.Ref), "…")
		hidden := strings.TrimPrefix(c.Secret.Reveal(part), prefix)
		if isPublic(hidden, c) {
			continue
		}
		for _, form := range forms(hidden) {
			for i := 0; i+8 <= len(form); i++ {
				piece := form[i : i+8]
				if isPublic(piece, c) {
					continue
				}
				for name, text := range said {
					if strings.Contains(text, piece) {
						return name, true
					}
				}
			}
		}
	}
	return "", false
}

// isPublic reports whether a piece stands in what is no secret, such as a key id or an account.
func isPublic(piece string, c credential.Credential) bool {
	for _, v := range c.Ref {
		if strings.Contains(v, piece) {
			return true
		}
	}
	return false
}

func forms(value string) []string {
	quoted, err := json.Marshal(value)
	if err != nil {
		panic(errors.New("a string always marshals"))
	}
	all := []string{
		value, strings.Trim(string(quoted), `"`), url.QueryEscape(value), url.PathEscape(value),
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
	}
	for cut := range min(3, len(value)) { // whatever stood before, one of the three lines up
		all = append(all, base64.RawStdEncoding.EncodeToString([]byte(value[cut:])), base64.RawURLEncoding.EncodeToString([]byte(value[cut:])))
	}
	return all
}
