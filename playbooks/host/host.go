// Package host is the machine under response as the desk sees it. All that it says is a claim.
package host

import (
	"context"

	"clawback/playbooks/containment"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Host is the machine under response.
type Host interface {
	// Name is how the responder calls it: "root@web-1", "this machine", "/mnt/disk".
	Name() string
	// Remote reports whether the desk is another machine.
	Remote() bool
	Describe(ctx context.Context) (containment.Description, error)
	Freeze(ctx context.Context) (containment.Frozen, error)
	// Thaw undoes Freeze.
	Thaw(ctx context.Context) error
	// Capture takes what part names ("volatile" or "files") into sink.
	Capture(ctx context.Context, part string, sink snapshots.Sink) (snapshots.Captured, error)
	// Discover calls found for each place of a credential, as soon as it is found.
	Discover(ctx context.Context, found func(discover.Found)) (discover.Summary, error)
	// DiscoverAll is Discover for a host that is itself compromised: what other accounts keep for
	// themselves is found too, and says whose it is.
	DiscoverAll(ctx context.Context, found func(discover.Found)) (discover.Summary, error)
	Stop(ctx context.Context) (containment.Stopped, error)
	// Isolate cuts the machine off the network, but for the desk's way in and what is kept; or the
	// agent alone.
	Isolate(ctx context.Context, cut containment.Cut) (containment.Isolated, error)
	// Reopen undoes Isolate alone.
	Reopen(ctx context.Context) error
	// Restore undoes Isolate, and gives back what Stop changed.
	Restore(ctx context.Context) error
	Check(ctx context.Context) (containment.Checked, error)
	// Close ends the connection and removes what the desk left on the host.
	Close() error
}
