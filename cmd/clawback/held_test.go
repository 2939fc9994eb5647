package main

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/playbooks/actions"
	"clawback/revoke/wire"
)

// holder is settings of a provider with one secret.
type holder struct {
	Clients map[string]*wire.Held `yaml:"clients"`
}

func (h *holder) Held() map[string]*wire.Held {
	return h.Clients
}

// settle writes a configuration whose settings of a provider are these, and decodes them.
func settle(t *testing.T, settings string, env environment, authorities *actions.Authorities) (*wire.Held, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clawback.yaml")
	if err := os.WriteFile(file, []byte("settings:\n  google: "+settings+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	var h holder
	err = (&app{config: c, env: env}).settings("google", authorities)(&h)
	return h.Clients["one"], err
}

func TestSettingsNameSecrets(t *testing.T) {
	secret := rand.Text()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment{"CLIENT": secret}
	for name, place := range map[string]string{
		"a variable": "{env: CLIENT}", "a file": "{file: " + file + "}", "a program": "{command: [" + script(t, "echo "+secret) + "]}",
	} {
		t.Run(name, func(t *testing.T) {
			held, err := settle(t, "{clients: {one: "+place+"}}", env, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := held.Load(t.Context()); err != nil || got.Reveal("value") != secret {
				t.Errorf("%v: %v", got, err)
			}
			suspect := &actions.Authorities{Suspect: true}
			if held, err = settle(t, "{clients: {one: "+place+"}}", env, suspect); err != nil {
				t.Fatal(err)
			}
			if got, err := held.Load(t.Context()); !errors.Is(err, actions.ErrRisk) || !got.Empty() {
				t.Errorf("on the suspect: %v", err)
			}
			suspect.Accepted = true
			if got, err := held.Load(t.Context()); err != nil || got.Reveal("value") != secret {
				t.Errorf("on the suspect, and accepted: %v: %v", got, err)
			}
		})
	}
	held, err := settle(t, "{clients: {one: {env: OTHER}}}", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := held.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "OTHER is not set") {
		t.Errorf("not set: %v: %v", got, err)
	}
}

// What names no place is refused with a hint, and without a word of what stands there instead.
func TestSettingsRefuseClearText(t *testing.T) {
	secret := rand.Text()
	for name, c := range map[string]struct{ settings, says string }{
		"clear text":  {"{clients: {one: " + secret + "}}", "not the secret"},
		"a list":      {"{clients: {one: [" + secret + "]}}", "not the secret"},
		"nothing":     {"{clients: {one: }}", "not the secret"},
		"no place":    {"{clients: {one: {}}}", "exactly one"},
		"two places":  {"{clients: {one: {env: A, file: /a}}}", "exactly one"},
		"another way": {"{clients: {one: {value: " + secret + "}}}", "field value not found"},
		"a login":     {"{clients: {one: {login: az}}}", "a login"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := settle(t, c.settings, nil, nil)
			err = misconfigured(err)
			f, ok := errors.AsType[*failure](err)
			if !ok || f.code != 2 || !strings.Contains(f.hint, "{env: NAME}") || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "settings.google") {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error()+f.hint, secret[:4]) {
				t.Errorf("it quotes the secret: %v", err)
			}
		})
	}
}
