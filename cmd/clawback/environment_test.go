package main

import (
	"os"
	"strings"
	"testing"
)

// Children get where their login is, and no secret; the program itself has all of it.
func TestEnvironmentOfChildren(t *testing.T) {
	before := os.Environ()
	defer func() {
		os.Clearenv()
		for _, pair := range before {
			name, value, _ := strings.Cut(pair, "=")
			_ = os.Setenv(name, value)
		}
	}()
	given := map[string]string{
		"HOME": "/home/alice", "VAULT_ADDR": "https://vault.example.com", "AZURE_CONFIG_DIR": "/home/alice/az", "CLOUDSDK_CONFIG": "/home/alice/gcloud",
		"VAULT_TOKEN": "a", "STRIPE_KEY": "b", "LD_PRELOAD": "/tmp/x.so", "PATH": "/tmp/bin",
	}
	for name, value := range given {
		t.Setenv(name, value)
	}
	env := scrubEnvironment()
	for name, value := range given {
		left, there := os.LookupEnv(name)
		keeps := name == "HOME" || name == "VAULT_ADDR" || name == "AZURE_CONFIG_DIR" || name == "CLOUDSDK_CONFIG"
		switch {
		case env[name] != value:
			t.Errorf("%s is lost", name)
		case name == "PATH" && strings.Contains(left, "/tmp"), name != "PATH" && there != keeps, keeps && left != value:
			t.Errorf("children have %s=%s", name, left)
		}
	}
}
