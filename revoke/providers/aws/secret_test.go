package aws_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/fake"
)

func TestSecretVersionLosesItsLabelsAndGetsThemBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, c := w.provider(t), w.MintSecret("agent", "AWSPREVIOUS", "blue")
		wantVerdict(t, p, c, revoke.Alive)
		r := mustRevoke(t, p, c)
		if len(r.Did) != 2 || !mentions(r.Left, "what the secret opens") || !mentions(r.Left, "by its id") {
			t.Errorf("%+v", r)
		}
		if got := w.Labels(c); !slices.Equal(got, []string{"clawback-took-AWSPREVIOUS", "clawback-took-blue"}) {
			t.Errorf("labels %q", got)
		}
		wantVerdict(t, p, c, revoke.Inconclusive)
		if r := mustRevoke(t, p, c); !r.Already {
			t.Errorf("the second time: %+v", r)
		}
		undone, err := w.provider(t).(revoke.Undoer).Undo(t.Context(), c) // another process
		if err != nil || len(undone.Did) != 2 {
			t.Fatalf("%+v, %v", undone, err)
		}
		if got := w.Labels(c); !slices.Equal(got, []string{"AWSPREVIOUS", "blue"}) {
			t.Errorf("labels %q", got)
		}
	})
}

func TestCurrentSecretVersionIsForAPerson(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, c := w.provider(t), w.MintSecret("agent", "AWSCURRENT", "blue")
		before := w.State()
		_, err := p.Revoke(t.Context(), c)
		wantError(t, err, revoke.ErrManual)
		if w.State() != before {
			t.Error("it was changed")
		}
	})
}

// A version that lost one label only, when the answer to the second was lost, is finished.
func TestSecretVersionHalfDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, c := w.provider(t), w.MintSecret("agent", "AWSPREVIOUS", "blue")
		n := 0
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "UpdateSecretVersionStage") {
				if n++; n == 3 {
					return fake.Fault{CutAfter: true}
				}
			}
			return fake.Fault{}
		})
		_, err := p.Revoke(t.Context(), c)
		wantError(t, err, revoke.ErrUncertain)
		w.Knobs().SetFault(nil)
		mustRevoke(t, p, c)
		if got := w.Labels(c); !slices.Equal(got, []string{"clawback-took-AWSPREVIOUS", "clawback-took-blue"}) {
			t.Errorf("labels %q", got)
		}
	})
}

func TestSecretVersionElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, c := w.provider(t), w.MintSecret("agent", "AWSPREVIOUS")
		scope := ""
		w.net.Handle("secretsmanager.eu-west-1.amazonaws.com", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			scope = r.Header.Get("Authorization")
			rw.WriteHeader(http.StatusServiceUnavailable)
		}))
		c.Ref["secret"] = strings.Replace(c.Ref["secret"], "us-east-1", "eu-west-1", 1)
		wantVerdict(t, p, c, revoke.Inconclusive)
		if !strings.Contains(scope, "/eu-west-1/secretsmanager/aws4_request") {
			t.Errorf("not asked in its region: %q", scope)
		}
		c.Ref["secret"] = strings.Replace(c.Ref["secret"], w.Account(), "210987654321", 1)
		_, err := p.Revoke(t.Context(), c)
		wantError(t, err, revoke.ErrNoAuthority)
	})
}
