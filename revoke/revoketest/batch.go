package revoketest

import (
	"context"
	"errors"
	"fmt"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

func checkBatch(w *world) error {
	b, ok := w.provider.(revoke.Batcher)
	if !ok || !b.Batchable(w.mint()) {
		return nil
	}
	const n = 5
	cs := make([]credential.Credential, n)
	for i := range cs {
		cs[i] = w.mint()
	}
	before := w.served.Load()
	r, err := w.revokeBatch(b, cs...)
	if err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if sent := w.served.Load() - before; sent != 1 || r.Answer == "" {
		return fmt.Errorf("%d requests for a batch of %d; %+v", sent, n, r)
	}
	for i, c := range cs {
		if err := w.mustDie(c); err != nil {
			return fmt.Errorf("%d of %d: %w", i+1, n, err)
		}
	}
	for _, f := range append(faultCases(), faultCase{"cut after", fake.Fault{CutAfter: true}}) {
		w.fake.Knobs().SetFault(always(f.fault))
		_, err := w.revokeBatch(b, w.mint())
		w.fake.Knobs().SetFault(nil)
		if err == nil {
			return fmt.Errorf("batch under %s: a soft failure reads as success", f.name)
		}
		lost := f.fault.CutAfter || f.fault.Hang || f.fault.Cut || f.fault.Status >= 500
		if lost && !errors.Is(err, revoke.ErrUncertain) {
			return fmt.Errorf("batch under %s: %v, want ErrUncertain", f.name, err)
		}
		if err := wantRevokeError(f.fault, err); err != nil {
			return fmt.Errorf("batch under %s: %w", f.name, err)
		}
	}
	return nil
}

func (w *world) revokeBatch(b revoke.Batcher, cs ...credential.Credential) (revoke.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.RevokeBatch(ctx, cs)
}

func (w *world) batchable(c credential.Credential) bool {
	b, ok := w.provider.(revoke.Batcher)
	return ok && b.Batchable(c)
}
