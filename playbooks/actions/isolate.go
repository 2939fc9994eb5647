package actions

import (
	"context"
	"fmt"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
)

func (r *Response) isolate(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	i, err := r.Host.Isolate(ctx)
	if err != nil {
		return hinted{err: fmt.Errorf("isolate %s: %w", r.Host.Name(), err),
			hint: r.also(err, "cut the machine off at the hypervisor, the cloud or the switch; keep your own SSH connection")}
	}
	rec.Note(incident.TypeIsolated, incident.Isolated{How: i.How, Kept: i.Kept, Proof: i.Proof, Problems: i.Problems})
	return nil
}
