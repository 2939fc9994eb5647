package actions

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/containment"
)

// An isolation beside the response is on record before the host is asked, and how it went afterwards.
func TestCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		only  bool
		err   error
		fails string
		keep  []string
	}{
		"the host":          {keep: []string{"siem=10.0.0.5:6514"}},
		"the agent alone":   {only: true},
		"the host refuses":  {err: errBroken, fails: errBroken.Error(), keep: []string{"siem=10.0.0.5:6514"}},
		"the agent refuses": {only: true, err: errBroken, fails: errBroken.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			j := stopped(t)
			h := &machine{isolate: func(context.Context) (containment.Isolated, error) {
				if !wroteDown(t, j, incident.TypeCutOff) {
					t.Error("it is done before it is on record")
				}
				return containment.Isolated{How: []string{"nft"}}, c.err
			}}
			r := takeUp(t, h, j)
			r.Keep = []containment.Keep{{Name: "siem", Addr: netip.MustParseAddrPort("10.0.0.5:6514")}}
			s, err := r.CutOff(t.Context(), j, c.only, "dana", "somebody else is on it")
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("CutOff: %v, want %q", err, c.fails)
			}
			if h.kept.Only != c.only || !h.asked("close") || h.asked("freeze") {
				t.Errorf("the host was asked for %v, %+v", h.calls, h.kept)
			}
			out := last[incident.CutOff](t, j, incident.TypeCutOff)
			if out.Only != c.only || out.By != "dana" || out.Why == "" || !slices.Equal(out.Keep, c.keep) {
				t.Errorf("on record: %+v", out)
			}
			if (s.Isolated != nil) != (c.err == nil) || s.Exit == nil || *s.Exit != incident.ExitContained || !s.AgentDown() {
				t.Errorf("isolated %+v, exit %v, down %v", s.Isolated, s.Exit, s.AgentDown())
			}
			if warned := slices.ContainsFunc(s.Warnings, func(w incident.Warning) bool {
				return c.err != nil && strings.Contains(w.Text, errBroken.Error()) && w.Hint != ""
			}); warned != (c.err != nil) {
				t.Errorf("warnings: %+v", s.Warnings)
			}
		})
	}
}
