package fake

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

// CallOf is the record of a request before it is known what it asks for. A fake whose paths hold
// secrets gives it another Path.
func CallOf(r *http.Request) *Call {
	return &Call{Method: r.Method, Path: r.URL.Path, Adversary: r.Header.Get(AdversaryHeader) != ""}
}

// Answer is Serve, and records the call: before the client sees its answer, or in the end, with
// status 0, where it got none. Until next answers, it may say more in the call.
func (k *Knobs) Answer(w http.ResponseWriter, r *http.Request, call *Call, next http.HandlerFunc) {
	a := &answering{ResponseWriter: w, call: call, record: sync.OnceFunc(func() { k.Record(*call) })}
	defer a.record() // also where a fault ends it by a panic
	k.Serve(a, r, func(w http.ResponseWriter, r *http.Request) {
		next(w, r)
		if w == http.ResponseWriter(a) && call.Status == 0 { // and of one that nobody will see
			call.Status = http.StatusOK
		}
	})
}

// answering records its call when the status is known.
type answering struct {
	http.ResponseWriter
	call   *Call
	record func()
}

func (a *answering) WriteHeader(status int) {
	if a.call.Status == 0 {
		a.call.Status = status
	}
	a.record()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(b []byte) (int, error) {
	if a.call.Status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// JSON answers with a body, whose type is application/json where the header does not say more.
func JSON(w http.ResponseWriter, status int, body any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a client that may have gone
}

// Bearer is the token that a request came with: "Authorization: Bearer …". It is empty where there is none.
func Bearer(r *http.Request) string {
	value, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return value
}

// String tells for State whether it has ended, and when.
func (r Revocation) String() string {
	if r.At.IsZero() {
		return "live"
	}
	return "ended " + r.At.UTC().Format(time.RFC3339Nano)
}

// Letters are what most secrets are made of.
const Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Pick draws n characters, each of them as likely as the others.
func Pick(alphabet string, n int) string {
	out := make([]byte, n)
	for i := range out {
		at, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet)))) // never fails: see crypto/rand
		out[i] = alphabet[at.Int64()]
	}
	return string(out)
}

// Hex draws n bytes, as 2n digits in small letters.
func Hex(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails: see crypto/rand
	return hex.EncodeToString(raw)
}

// GUID draws a UUID of version 4.
func GUID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: see crypto/rand
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}
