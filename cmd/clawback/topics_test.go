package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/providers"
)

// What help config shows is a configuration: it is read as one, its CA, and each setting by the
// provider that takes it.
func TestConfigHelpParses(t *testing.T) {
	c := parses(t, configHelp+isolationHelp+cloudHelp+kubernetesHelp+evidenceHelp+settingsHelp+inventoryHelp+witnessHelp)
	if len(c.Authorities) < 5 || len(c.Endpoints) < 3 || len(c.Inventory) == 0 || len(c.Witness) == 0 || c.Responder == "" || c.SSHConfig == "" || len(c.Hosts) == 0 || c.AllowedSigners == "" || len(c.Roles) == 0 {
		t.Errorf("a part is missing: %+v", c)
	}
}

// So is what the README shows.
func TestREADMEConfigurationsParse(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 3 {
		t.Errorf("it has %d", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		parses(t, block)
	}
}

// parses makes of a text a configuration, and every provider by it.
func parses(t *testing.T, text string) config {
	t.Helper()
	dir := t.TempDir()
	writeCA(t, filepath.Join(dir, "ca.pem"))
	text = strings.ReplaceAll(text, "/etc/clawback/ca.pem", filepath.Join(dir, "ca.pem"))
	file := filepath.Join(dir, "clawback.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(map[string]bool)
	_, err = providers.New(func(name string) revoke.Env {
		env := revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{}), Endpoint: c.Endpoints[name].URL}
		if decode := (&app{config: c}).settings(name, nil); decode != nil {
			env.Settings = func(into any) error {
				asked[name] = true
				return decode(into)
			}
		}
		return env
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range c.Settings {
		if !asked[name] {
			t.Errorf("settings.%s are shown, and %s takes none", name, name)
		}
	}
	return c
}

// Every setting that a provider takes is shown, and so is a self-hosted provider's address.
func TestConfigHelpShowsEverySetting(t *testing.T) {
	for provider, names := range settingsTaken() {
		_, block, found := strings.Cut(settingsHelp, "\n  "+provider+":")
		if !found {
			t.Errorf("settings.%s is not shown", provider)
			continue
		}
		lines := strings.Split(block, "\n")
		if end := slices.IndexFunc(lines[1:], func(l string) bool { return !strings.HasPrefix(l, "   ") }); end >= 0 {
			block = strings.Join(lines[:end+1], "\n")
		}
		for _, name := range names {
			if last := name[strings.LastIndex(name, ".")+1:]; !strings.Contains(block, last+":") {
				t.Errorf("settings.%s: %s is not shown", provider, name)
			}
		}
	}
	all, err := (&app{}).coverages()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.SelfHosted && !strings.Contains(configHelp+settingsHelp, "\n  "+c.Provider+":") {
			t.Errorf("the address of %s is not shown", c.Provider)
		}
	}
}

func writeCA(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
