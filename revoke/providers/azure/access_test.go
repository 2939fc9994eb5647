package azure

import (
	"errors"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// An access token is nobody's to end: what it says of its end is told, and nobody is asked.
func TestAccessToken(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindAccess)
	v := w.Verify(t.Context(), c)
	if v.Outcome != revoke.Inconclusive || !strings.Contains(v.Answer, "expires at "+time.Now().UTC().Format("2006-")) {
		t.Errorf("%+v", v)
	}
	for _, value := range []string{"opaque", "a.b.c", "", "a." + strings.Repeat("e", 70<<10) + ".c"} {
		c := credential.Credential{Provider: "azure", Kind: kindAccess, Secret: credential.Value(value)}
		if v := w.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || !strings.Contains(v.Answer, "does not say") {
			t.Errorf("%+v", v)
		}
	}
	if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrUnkillable) {
		t.Errorf("%v", err)
	}
	if _, err := w.Inspect(t.Context(), c); err == nil {
		t.Error("somebody was asked")
	}
	if n := len(w.Fake.Knobs().Calls()); n > 0 {
		t.Errorf("%d requests", n)
	}
}
