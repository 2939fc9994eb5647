package main

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// script writes a program of this test.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// An authority comes from wherever the desk keeps it, and no failure repeats what a program said.
func TestAuthoritySources(t *testing.T) {
	secret := rand.Text()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	keys := "[responder]\naws_access_key_id = AKIA" + rand.Text()[:16] + "\naws_secret_access_key = " + secret + "\n"
	if err := os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment{"RESPONDER": secret, "HOME": home}
	value := func(r reference) authorityConfig {
		return authorityConfig{Kind: "stripe.api_key", Parts: map[string]reference{"value": r}}
	}
	for name, c := range map[string]struct {
		config authorityConfig
		from   string
		fails  string
	}{
		"env":             {value(reference{Env: "RESPONDER"}), "env RESPONDER", ""},
		"env not set":     {value(reference{Env: "NOBODY"}), "", "NOBODY is not set"},
		"file":            {value(reference{File: file}), "file " + file, ""},
		"command":         {value(reference{Command: []string{script(t, "cat "+file)}}), "command ", ""},
		"command fails":   {value(reference{Command: []string{script(t, "cat "+file+" >&2; exit 3")}}), "", "exit code 3"},
		"command is mute": {value(reference{Command: []string{script(t, "true")}}), "", "printed nothing"},
		"command floods":  {value(reference{Command: []string{script(t, "head -c 100000 /dev/zero | tr '\\0' x")}}), "", "more than"},
		"no such command": {value(reference{Command: []string{"clawback-no-such-program"}}), "", "whole path"},
		"AWS profile":     {authorityConfig{AWSProfile: "responder"}, "AWS profile responder", ""},
		"no such profile": {authorityConfig{AWSProfile: "nobody"}, "", "no AWS profile nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			load, _ := c.config.authority(env)
			a, err := load(context.Background())
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), secret[:8]) {
					t.Errorf("got %v", err)
				}
				return
			}
			part := "value"
			if c.config.AWSProfile != "" {
				part = "secret_access_key"
			}
			if err != nil || a.Secret.Reveal(part) != secret || !strings.HasPrefix(a.From, c.from) {
				t.Errorf("from %q: %v", a.From, err)
			}
		})
	}
}

// What a program prints is asked for once in a while, and not for each request; a failure is
// not kept, and what turned out to be expired is asked for anew.
func TestAuthorityIsRemembered(t *testing.T) {
	dir := t.TempDir()
	load, forget := authorityConfig{Kind: "stripe.api_key", Parts: map[string]reference{"value": {Command: []string{
		script(t, "echo x >> "+dir+"/runs; test -e "+dir+"/ready && echo "+rand.Text())}}}}.authority(nil)
	runs := func() int {
		b, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Count(string(b), "x")
	}
	for range 2 {
		if _, err := load(context.Background()); err == nil {
			t.Error("it failed, and something was loaded")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ready"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := load(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if n := runs(); n != 3 {
		t.Errorf("it ran %d times", n)
	}
	forget()
	if _, err := load(context.Background()); err != nil || runs() != 4 {
		t.Errorf("forgotten, and it ran %d times, %v", runs(), err)
	}
}

func TestAuthorityConfig(t *testing.T) {
	for text, fails := range map[string]string{
		"aws: {aws_profile: responder}":                                      "",
		"stripe: {kind: stripe.api_key, parts: {value: {login: az}}}":        "",
		"stripe: {kind: stripe.api_key, parts: {value: {vault: 'a/b#c'}}}":   "",
		"stripe: {aws_profile: responder}":                                   "of aws alone",
		"aws: {aws_profile: a, kind: aws.access_key}":                        "of aws alone",
		"stripe: {kind: stripe.api_key, parts: {value: {env: A, file: /a}}}": "exactly one",
		"stripe: {kind: stripe.api_key, parts: {value: {}}}":                 "exactly one",
		"stripe: {kind: stripe.api_key, parts: {value: {login: okta}}}":      "no login",
		"stripe: {kind: stripe.api_key, parts: {value: {vault: a/b}}}":       "PATH#FIELD",
		"stripe: {kind: stripe.api_key, parts: {value: {vault: '-x#y'}}}":    "PATH#FIELD",
		"nobody: {kind: stripe.api_key}":                                     "no provider",
		"stripe: {kind: aws.access_key, parts: {value: {env: A}}}":           "none of its kinds",
	} {
		var c config
		if err := yaml.Unmarshal([]byte("authorities:\n  "+text), &c); err != nil {
			t.Fatal(err)
		}
		err := c.check()
		if (fails == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), fails) {
			t.Errorf("%s: %v, want %q", text, err, fails)
		}
	}
}

// An endpoint with a CA of its own is reached by that alone: not with the system's, and not at all
// where the file is gone.
func TestEndpointCA(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var c config
	if err := yaml.Unmarshal([]byte("endpoints:\n  github: "+server.URL+"\n  stripe: {url: '"+server.URL+"', ca: "+ca+"}\n"), &c); err != nil {
		t.Fatal(err)
	}
	if err := c.check(); err != nil || c.Endpoints["github"].URL != server.URL {
		t.Fatalf("%v, %+v", err, c.Endpoints)
	}
	get := func(provider string) error {
		client := c.client(provider)
		defer client.CloseIdleConnections()
		resp, err := client.Get(server.URL)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if err := get("stripe"); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	if err := get("github"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its CA: %v", err)
	}
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	if err := get("stripe"); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("its CA is gone: %v", err)
	}
	if err := yaml.Unmarshal([]byte("endpoints: {github: {url: 'https://a.test', certificate: x}}"), new(config)); err == nil {
		t.Error("a field that nobody knows is accepted")
	}
}
