package actions

import (
	"context"

	"clawback/playbooks/containment"
	"clawback/playbooks/host"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Gone is a host that cannot be reached: every verb fails with why. The rest of a response goes on
// without it, since the desk proves deaths with what it has.
type Gone struct {
	Target string // its name
	Far    bool   // it is another machine than the desk
	Why    error
}

var _ host.Host = Gone{}

// Name implements host.Host, as all methods do.
func (g Gone) Name() string { return g.Target }

func (g Gone) Remote() bool { return g.Far }

func (g Gone) Describe(context.Context) (containment.Description, error) {
	return containment.Description{}, g.Why
}

func (g Gone) Freeze(context.Context) (containment.Frozen, error) {
	return containment.Frozen{}, g.Why
}

func (g Gone) Thaw(context.Context) error { return g.Why }

func (g Gone) Capture(context.Context, string, snapshots.Sink) (snapshots.Captured, error) {
	return snapshots.Captured{}, g.Why
}

func (g Gone) Discover(context.Context, func(discover.Found)) (discover.Summary, error) {
	return discover.Summary{}, g.Why
}

func (g Gone) DiscoverAll(context.Context, func(discover.Found)) (discover.Summary, error) {
	return discover.Summary{}, g.Why
}

func (g Gone) Stop(context.Context) (containment.Stopped, error) {
	return containment.Stopped{}, g.Why
}

func (g Gone) Isolate(context.Context, containment.Cut) (containment.Isolated, error) {
	return containment.Isolated{}, g.Why
}

func (g Gone) Reopen(context.Context) error { return g.Why }

func (g Gone) Restore(context.Context) error { return g.Why }

func (g Gone) Check(context.Context) (containment.Checked, error) {
	return containment.Checked{}, g.Why
}

func (g Gone) Close() error { return nil }
