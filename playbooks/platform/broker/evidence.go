package broker

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"unicode/utf8"

	"clawback/playbooks/platform"
	"clawback/snapshots"
)

func collect(sink snapshots.Sink) *platform.Evidence {
	return platform.Collect(sink, "broker", maxBytes)
}

// value is bytes of a message, readable where they are text.
type value []byte

// MarshalJSON writes a string, or for what is no text {"base64": …}.
func (v value) MarshalJSON() ([]byte, error) {
	if utf8.Valid(v) {
		return json.Marshal(string(v))
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString(v)})
}

// line writes one line of JSON.
func line(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
