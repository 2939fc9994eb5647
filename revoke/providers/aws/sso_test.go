package aws_test

import (
	"errors"
	"testing"

	"clawback/revoke"
)

// A person ends a single sign-on session, and is told how.
func TestSingleSignOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		c := w.Mint("aws.sso")
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("Revoke: %v", err)
		}
		if _, err := p.Inspect(t.Context(), c); err == nil {
			t.Error("Inspect asked somebody")
		}
		wantVerdict(t, p, c, revoke.Inconclusive)
		if k, ok := p.Info().Kind(c.Kind); !ok || !k.Manual || len(w.asked()) > 0 {
			t.Errorf("%+v, asked %q", k, w.asked())
		}
	})
}
