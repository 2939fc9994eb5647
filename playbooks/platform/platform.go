// Package platform is what a machine under response runs on: a cloud, a cluster. It is asked by the
// desk alone, with the responder's authority, and nothing that it is told comes from the machine.
// Whoever has root on the machine cannot undo what is done there.
package platform

import (
	"context"

	"clawback/forensics/incident"
	"clawback/snapshots"
)

// Wall is a platform's network around one machine.
type Wall interface {
	// Name names platform and machine: "AWS instance i-0a1b in eu-west-1".
	Name() string
	// Will says what Isolate changes, before anything is asked.
	Will() []string
	// Isolate cuts the machine off but for the desk's way in, and reads it back until it shows. An
	// isolation that stands is left as it is. With an error it may have come half of the way.
	Isolate(ctx context.Context, o Order) (Result, error)
	// Restore gives back what was, and reads it back.
	Restore(ctx context.Context, incident string, was []incident.PlatformWas) (Result, error)
}

// Order is what an isolation is done for.
type Order struct {
	Incident string
	// Intent makes a change durable on record before it is made. It is called with all that the change
	// replaces, and again where more turns out to be there.
	Intent func([]incident.PlatformWas) error
}

// Result is what came of it.
type Result struct {
	Did   []string // each change, in order
	Proof []string // what the platform showed afterwards
	Left  []string // what goes on in spite of it
}

// Disks is a platform that can keep copies of a machine's disks.
type Disks interface {
	Name() string
	// Snapshot has every disk copied as it is at one moment, and waits for the copies until ctx is done:
	// then they are returned as they stand. Copies that the incident has already are not made again.
	// intent makes it durable on record, with the disks' names, before it is asked for.
	Snapshot(ctx context.Context, incident string, intent func(volumes []string) error) (incident.Snapshots, error)
}

// Logs is a platform that keeps what an agent said outside of the machine.
type Logs interface {
	// Preserve copies it, also of what was cut off for the incident.
	Preserve(ctx context.Context, incident string, sink snapshots.Sink) (snapshots.Captured, error)
}

// Hinted is an error that says what to do next.
type Hinted struct {
	Err  error
	Next string
}

func (h Hinted) Error() string { return h.Err.Error() }
func (h Hinted) Unwrap() error { return h.Err }
func (h Hinted) Hint() string  { return h.Next }
