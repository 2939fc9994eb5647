package containment

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

const (
	// logLines is how much of a container's log is taken, from its end.
	logLines = 100_000
	maxLog   = 64 << 20 // bytes
)

// accounts is what the engine is asked to tell of one container before it is killed. It reads, and
// writes nothing to the suspect disk.
func (e *engine) accounts(unit string) (out []Account) {
	for _, a := range []struct {
		name, path string
		max        int64
	}{
		{"inspect.json", "/json?size=0", maxTold},
		{"changes.json", "/changes", maxTold},
		// As the engine sends it: without a terminal, in frames of 8 bytes' head and a line each.
		{"log", fmt.Sprintf("/logs?stdout=1&stderr=1&timestamps=1&tail=%d", logLines), maxLog},
	} {
		out = append(out, Account{
			Name: strings.ReplaceAll(unit, "/", "-") + "/" + a.name,
			Read: func(ctx context.Context) ([]byte, error) {
				e.telling.Lock()
				defer e.telling.Unlock()
				id, err := e.find(ctx, unit)
				if err != nil {
					return nil, err
				}
				data, err := e.ask(ctx, "GET", "/containers/"+id+a.path, nil, a.max)
				if errors.Is(err, errLong) {
					err = fmt.Errorf("cut at %d bytes: %w", a.max, err)
				}
				return data, err
			},
		})
	}
	return out
}
