package journal

import "encoding/json"

// ReadPayload reads a payload from the folder of its incident, and checks that it is what p names.
func ReadPayload(dir string, p Payload) (json.RawMessage, error) {
	return Entry{Payload: &p, from: &payloadFolder{dir: dir}}.Content()
}
