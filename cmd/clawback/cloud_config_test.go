package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// Each cloud of the configuration's is asked under its own authority, and not at all by a dry run.
func TestCloudsRunOn(t *testing.T) {
	c := parses(t, configHelp+isolationHelp+cloudHelp)
	asked := map[string]int{}
	env := func(name string) revoke.Env {
		asked[name]++
		return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{}), Now: time.Now, Sleep: revoke.Wall{}.Sleep,
			Authority: func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Kind: name + ".access_token", Secret: credential.NewSecret(map[string]string{"value": "x", "management": "x", "access_key_id": "x", "secret_access_key": "x"})}, nil
			}}
	}
	names := map[string]string{"aws": "AWS instance i-", "google": "Google Cloud instance agent-2", "azure": "Azure machine agent-3"}
	for _, machine := range c.Isolation.Cloud {
		p, err := machine.runsOn(env)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p.Wall.Name(), names[p.Provider]) || asked[p.Provider] == 0 || len(p.Wall.Will()) == 0 {
			t.Errorf("%s: %s, %v", p.Provider, p.Wall.Name(), p.Wall.Will())
		}
		if (p.Disks != nil) != (p.Provider == "aws") {
			t.Errorf("%s keeps copies of disks: %v", p.Provider, p.Disks)
		}
		_, err = p.Wall.Isolate(t.Context(), platform.Order{Incident: "INC-1", Intent: func([]incident.PlatformWas) error { return nil }})
		if err == nil || !strings.Contains(err.Error(), "dry run") {
			t.Errorf("%s: %v", p.Provider, err)
		}
		delete(names, p.Provider)
	}
	if len(names) > 0 {
		t.Errorf("help config shows none of %v", names)
	}
}
