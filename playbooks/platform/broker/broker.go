// Package broker keeps an agent off the brokers and tables where its work waits, and copies what
// waits there. It runs at the desk alone: addresses and access come from the desk's configuration,
// never from a host. All that a broker says is its claim, and bounded.
package broker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"clawback/snapshots"
)

// Broker is one place where work waits for an agent. Its methods may be called again: what is done
// is not done twice.
type Broker interface {
	// Name is what the configuration calls it.
	Name() string
	// Where is its kind and address, for people: "redis redis.example.com:6379".
	Where() string
	// Agent is the account of the agent's there.
	Agent() string
	// ByHand is what cuts the agent off, and what lets it back, without this program.
	ByHand() (cut, back string)

	// Look changes nothing.
	Look(ctx context.Context) (Standing, error)
	// Cut takes the agent's access away and ends its connections, or fails with ErrByHand.
	Cut(ctx context.Context) (Done, error)
	// Hold keeps what waits from everybody who would take it, as far as the broker can.
	Hold(ctx context.Context) (Done, error)
	// Preserve copies what waits, without taking it.
	Preserve(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error)
	// Restore takes Cut and Hold back. was is Standing.Was of a look before them.
	Restore(ctx context.Context, was json.RawMessage) (Done, error)
}

// Standing is how a broker says that it stands. It holds no message and no secret.
type Standing struct {
	Who    string   // the account that asked
	Off    bool     // the agent's account is refused
	Live   []string // connections of the agent's account: where from
	Queues []Queue
	Others []string // who else is there: "user worker: 3 connections"
	Proof  []string // what is known in place of Off and Live, where a broker shows neither for sure

	Was json.RawMessage // what Restore wants to know
}

// Queue is one place on a broker where messages wait.
type Queue struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`     // "list", "stream", "classic", "table"; "none" where there is nothing by that name
	Messages int64  `json:"messages"` // -1 where that is not known
}

// Done is what came of a change.
type Done struct {
	Did  []string
	Left []string // what goes on in spite of it
}

// Access is an administrator's account on a broker.
type Access struct{ User, Password string }

// Authority loads the access each time that it is needed.
type Authority func(context.Context) (Access, error)

var (
	// ErrRefused means that the broker refused the administrator's access, or what it asked for.
	ErrRefused = errors.New("the broker refused")
	// ErrNoAgent means that the agent's account does not exist there.
	ErrNoAgent = errors.New("the broker knows no such account")
	// ErrOwn means that the desk was told to cut off the account that it uses itself.
	ErrOwn = errors.New("the desk's own access is the account of the agent")
	// ErrTooLarge means that a broker sent more than is taken of it.
	ErrTooLarge = errors.New("the answer is larger than what is taken of a broker")
)

// What is taken of a broker, at the most. Variables only for tests.
var (
	askWait       = 10 * time.Second // for one answer
	maxAnswer     = 32 << 20         // bytes of one answer
	maxMessages   = int64(100_000)   // of one queue
	maxBytes      = int64(1 << 30)   // of all messages of one broker
	cutWait       = 10 * time.Second // until the agent's connections are gone
	cutPause      = 200 * time.Millisecond
	maxListed     = 50  // connections that are named
	maxText       = 200 // bytes of a name that a broker gives
	maxConnecting = 10 * time.Second
)

// await looks until a broker shows no connection of the agent's, ending each that it finds: one may
// have been under way when its account was closed.
func await(ctx context.Context, end func(context.Context) (left int, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cutWait, errors.New("connections of the agent's account are still there"))
	defer cancel()
	for {
		left, err := end(ctx)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-time.After(cutPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// cut keeps a text of a broker's in a size that somebody reads.
func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}

// listed bounds a list.
func listed(list []string) []string {
	if len(list) > maxListed {
		return append(list[:maxListed:maxListed], "and more")
	}
	return list
}
