package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers"
)

// authorityConfig says where an authority is kept: its parts one by one, or the profile of a tool
// that has all of them. It holds no secret itself.
type authorityConfig struct {
	Kind       string               `yaml:"kind"`
	Parts      map[string]reference `yaml:"parts"`
	AWSProfile string               `yaml:"aws_profile"`
}

// reference is a place that holds one part of an authority.
type reference struct {
	Env     string   `yaml:"env"`
	File    string   `yaml:"file"`
	Command []string `yaml:"command"` // what it prints is the part
	Login   string   `yaml:"login"`   // of a tool: see logins
	Vault   string   `yaml:"vault"`   // PATH#FIELD, by the vault CLI and the token that it has
}

// logins are the tools whose login gives a short-lived token, and how it is printed.
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token
// https://cloud.google.com/sdk/gcloud/reference/auth/print-access-token
var logins = map[string][]string{
	"az":     {"az", "account", "get-access-token", "--resource", "https://graph.microsoft.com", "--query", "accessToken", "--output", "tsv"},
	"gcloud": {"gcloud", "auth", "print-access-token"},

	"az-management": {"az", "account", "get-access-token", "--resource", "https://management.azure.com", "--query", "accessToken", "--output", "tsv"},
}

const commandTimeout = 30 * time.Second // a command that asks somebody would wait for ever

func (c config) checkAuthorities() error {
	for name, a := range c.Authorities {
		if !slices.Contains(providers.Names(), name) {
			return usage("clawback providers lists them", "configuration %s: authorities: there is no provider %q", c.file, name)
		}
		if a.AWSProfile != "" {
			if name != "aws" || len(a.Parts) > 0 || a.Kind != "" {
				return usage("write aws: {aws_profile: NAME}", "configuration %s: authorities.%s: aws_profile stands for kind and parts, of aws alone", c.file, name)
			}
			continue
		}
		kind, ok := credential.Lookup(a.Kind)
		if !ok || kind.Provider != name {
			return usage("clawback providers lists the kinds", "configuration %s: authorities.%s: kind %q is none of its kinds", c.file, name, a.Kind)
		}
		if len(a.Parts) == 0 {
			return usage("for example parts: {value: {env: NAME}}", "configuration %s: authorities.%s: parts is missing", c.file, name)
		}
		for part, r := range a.Parts {
			if err := r.check(); err != nil {
				return usage("write {env: NAME}, {file: /path}, {command: [program, argument]}, {login: az} or {vault: path#field}",
					"configuration %s: authorities.%s.parts.%s: %w", c.file, name, part, err)
			}
		}
	}
	return nil
}

func (r reference) check() error {
	ways := 0
	for _, way := range []bool{r.Env != "", r.File != "", len(r.Command) > 0, r.Login != "", r.Vault != ""} {
		if way {
			ways++
		}
	}
	path, field, cut := strings.Cut(r.Vault, "#")
	switch {
	case ways != 1:
		return errors.New("exactly one of env, file, command, login and vault")
	case r.Login != "" && logins[r.Login] == nil:
		return fmt.Errorf("there is no login %q, but %s", r.Login, strings.Join(slices.Sorted(maps.Keys(logins)), " and "))
	case r.Vault != "" && (!cut || path == "" || field == "" || strings.HasPrefix(path, "-")):
		return errors.New("vault wants PATH#FIELD")
	}
	return nil
}

// argv is the command that prints the part; nil where none does.
func (r reference) argv() []string {
	switch {
	case r.Login != "":
		return logins[r.Login]
	case r.Vault != "":
		path, field, _ := strings.Cut(r.Vault, "#")
		return []string{"vault", "kv", "get", "-field=" + field, path}
	}
	return r.Command
}

// runs reports whether it takes a program to load the authority: one of the machine's.
func (a authorityConfig) runs() bool {
	for _, r := range a.Parts {
		if r.argv() != nil {
			return true
		}
	}
	return a.AWSProfile != "" // whose credential_process may be any
}

// fresh is for how long what a program printed is taken: each request asks for the authority.
const fresh = 30 * time.Second

// authority returns how an authority is loaded: anew each time, or nearly so, so that one that was
// renewed in the middle of a run is taken. forget, where it is not nil, makes the next load read it anew.
func (a authorityConfig) authority(env environment) (load func(context.Context) (revoke.Authority, error), forget func()) {
	load = a.fromParts(env)
	if a.AWSProfile != "" {
		load = func(ctx context.Context) (revoke.Authority, error) {
			return fromAWSProfile(ctx, a.AWSProfile, env["HOME"])
		}
	}
	if a.runs() {
		m := &remembered{load: load}
		return m.authority, m.forget
	}
	return load, nil
}

// remembered loads one authority at a time and remembers it for a while. A failure is not remembered.
type remembered struct {
	load func(context.Context) (revoke.Authority, error)

	loading sync.Mutex
	mu      sync.Mutex // of the rest
	last    revoke.Authority
	at      time.Time
}

func (m *remembered) authority(ctx context.Context) (revoke.Authority, error) {
	m.loading.Lock()
	defer m.loading.Unlock()
	m.mu.Lock()
	last, at := m.last, m.at
	m.mu.Unlock()
	if !at.IsZero() && ownClock.Now().Sub(at) < fresh {
		return last, nil
	}
	a, err := m.load(ctx)
	if err == nil {
		m.mu.Lock()
		m.last, m.at = a, ownClock.Now()
		m.mu.Unlock()
	}
	return a, err
}

func (m *remembered) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.at = revoke.Authority{}, time.Time{}
}

// renewal says how a person renews an authority. What stands in a variable a running program keeps.
func (a authorityConfig) renewal() string {
	if a.AWSProfile != "" {
		return "log in again, with aws sso login --profile " + a.AWSProfile + " or as you do"
	}
	var ways []string
	for _, name := range slices.Sorted(maps.Keys(a.Parts)) {
		switch r := a.Parts[name]; {
		case r.Env != "":
			ways = append(ways, "set "+r.Env+" anew and run it again, since a running program keeps its variables")
		case r.File != "":
			ways = append(ways, "write the new one into "+r.File)
		case r.Login == "az", r.Login == "az-management":
			ways = append(ways, "az login")
		case r.Login == "gcloud":
			ways = append(ways, "gcloud auth login")
		case r.Vault != "":
			ways = append(ways, "vault login, or a new value at "+r.Vault)
		default:
			ways = append(ways, "log in again where "+r.Command[0]+" gets it")
		}
	}
	return strings.Join(slices.Compact(ways), ", ")
}

func (a authorityConfig) fromParts(env environment) func(context.Context) (revoke.Authority, error) {
	return func(ctx context.Context) (revoke.Authority, error) {
		parts := make(map[string]string)
		var from []string
		for _, name := range slices.Sorted(maps.Keys(a.Parts)) {
			value, place, err := a.Parts[name].read(ctx, env)
			if err != nil {
				return revoke.Authority{}, err
			}
			parts[name] = value
			from = append(from, place)
		}
		return revoke.Authority{Secret: credential.NewSecret(parts), Kind: a.Kind, From: strings.Join(from, ", ")}, nil
	}
}

func (r reference) read(ctx context.Context, env environment) (value, place string, err error) {
	switch {
	case r.Env != "":
		if env[r.Env] == "" {
			err = fmt.Errorf("environment variable %s is not set", r.Env)
		}
		return env[r.Env], "env " + r.Env, err
	case r.File != "":
		b, err := readOwn(r.File, maxAuthority)
		return strings.TrimSpace(string(b)), "file " + r.File, err
	}
	argv := r.argv()
	value, err = printed(ctx, argv)
	return value, "command " + argv[0], err
}

// printed is what a command prints, without its last line's end. Nothing that it says on stderr is
// repeated: it may quote a secret.
func printed(ctx context.Context, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.WaitDelay = time.Second
	var out capped
	c.Stdout = &out
	name := filepath.Base(argv[0])
	switch err := c.Run(); {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s did not end within %v: it may ask somebody, log in first", name, commandTimeout)
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("there is no %s in %s: write its whole path", name, "the usual places")
	case err != nil && c.ProcessState != nil && c.ProcessState.ExitCode() > 0:
		return "", fmt.Errorf("%s ended with exit code %d: is it logged in?", name, c.ProcessState.ExitCode())
	case err != nil:
		return "", fmt.Errorf("run %s: %w", name, err)
	case out.over:
		return "", fmt.Errorf("%s printed more than %d bytes", name, maxAuthority)
	}
	value := strings.TrimSpace(string(out.kept))
	if value == "" {
		return "", fmt.Errorf("%s printed nothing", name)
	}
	return value, nil
}

// capped keeps what an authority may have, and takes the rest without keeping it.
type capped struct {
	kept []byte
	over bool
}

func (c *capped) Write(b []byte) (int, error) {
	if c.over = c.over || len(c.kept)+len(b) > maxAuthority; !c.over {
		c.kept = append(c.kept, b...)
	}
	return len(b), nil
}

// fromAWSProfile loads what a profile of the AWS CLI stands for: keys, a role that they assume, a
// single sign-on session. The machine's own role is never taken.
func fromAWSProfile(ctx context.Context, profile, home string) (revoke.Authority, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	loaded, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithSharedConfigProfile(profile),
		awsconfig.WithSharedConfigFiles([]string{filepath.Join(home, ".aws", "config")}),
		awsconfig.WithSharedCredentialsFiles([]string{filepath.Join(home, ".aws", "credentials")}),
		awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		awsconfig.WithDefaultRegion("us-east-1"),
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.Proxy = nil })))
	var missing awsconfig.SharedConfigProfileNotExistError
	if errors.As(err, &missing) {
		return revoke.Authority{}, fmt.Errorf("there is no AWS profile %s below %s", profile, filepath.Join(home, ".aws"))
	}
	if err != nil { // which may quote what stands there
		return revoke.Authority{}, fmt.Errorf("AWS profile %s cannot be read: try aws sts get-caller-identity --profile %s", profile, profile)
	}
	keys, err := loaded.Credentials.Retrieve(ctx)
	if err != nil {
		return revoke.Authority{}, fmt.Errorf("AWS profile %s gives no keys: log in again, with aws sso login --profile %s or as you do", profile, profile)
	}
	kind := "aws.access_key"
	if keys.SessionToken != "" {
		kind = "aws.session"
	}
	return revoke.Authority{Kind: kind, From: "AWS profile " + profile, Secret: credential.NewSecret(map[string]string{
		"access_key_id": keys.AccessKeyID, "secret_access_key": keys.SecretAccessKey, "session_token": keys.SessionToken})}, nil
}
