package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"

	"clawback/forensics/incident"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/inventory"
	"clawback/revoke/providers"
)

// config is clawback.yaml at the desk.
type config struct {
	Responder   string                     `yaml:"responder"`
	Authorities map[string]authorityConfig `yaml:"authorities"`
	Endpoints   map[string]string          `yaml:"endpoints"`
	SSHConfig   string                     `yaml:"ssh_config"`

	AllowedSigners string            `yaml:"allowed_signers"`
	Roles          map[string]string `yaml:"roles"`

	Inventory []incident.InventoryItem `yaml:"inventory"`

	Witness []witnessConfig `yaml:"witness"`

	file string
}

// authorityConfig says where the parts of an authority are kept. It holds no secret itself.
type authorityConfig struct {
	Kind  string               `yaml:"kind"`
	Parts map[string]reference `yaml:"parts"`
}

// reference is a place that holds one part of an authority.
type reference struct {
	Env  string `yaml:"env"`
	File string `yaml:"file"`
}

const (
	maxConfig    = 1 << 20
	maxAuthority = 64 << 10
)

// loadConfig reads the configuration: the named file, else $CLAWBACK_CONFIG, else the usual
// places. The working directory is never one of them: it may be evidence.
func loadConfig(named string, env environment) (config, error) {
	if named == "" {
		named = env["CLAWBACK_CONFIG"]
	}
	if named != "" {
		return readConfig(named)
	}
	base := env["XDG_CONFIG_HOME"]
	if base == "" && env["HOME"] != "" {
		base = filepath.Join(env["HOME"], ".config")
	}
	places := []string{"/etc/clawback/clawback.yaml"}
	if base != "" {
		places = append([]string{filepath.Join(base, "clawback", "clawback.yaml")}, places...)
	}
	for _, p := range places {
		c, err := readConfig(p)
		if !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
	}
	return config{}, nil
}

func readConfig(path string) (config, error) {
	var c config
	src, err := readOwn(path, maxConfig)
	if err != nil {
		return c, &failure{2, fmt.Errorf("configuration: %w", err), "mend the file, or name another with --config"}
	}
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		text := strings.NewReplacer("not found in type main.", "is not known in ", "not found in type incident.", "is not known in ").
			Replace(strings.TrimPrefix(err.Error(), "yaml: "))
		return c, usage("clawback help config shows what it can hold", "configuration %s: %s", path, text)
	}
	c.file = path
	return c, c.check()
}

// readOwn reads a file of ours: regular, of bounded size, and such that nobody but its owner (we,
// or root) can change it.
func readOwn(path string, most int64) ([]byte, error) {
	b, info, err := readRegular(path, most)
	if err != nil {
		return nil, err
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s can be changed by others (mode %04o): chmod go-w it", path, info.Mode().Perm())
	case stat != nil && stat.Uid != 0 && int(stat.Uid) != os.Getuid():
		return nil, fmt.Errorf("%s belongs to uid %d, not to you", path, stat.Uid)
	}
	return b, nil
}

// readRegular reads a regular file of bounded size, and waits for nothing.
func readRegular(path string, most int64) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > most:
		return nil, nil, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), most)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	return b, info, err
}

func (c config) check() error {
	for name, a := range c.Authorities {
		if !slices.Contains(providers.Names(), name) {
			return usage("clawback providers lists them", "configuration %s: authorities: there is no provider %q", c.file, name)
		}
		kind, ok := credential.Lookup(a.Kind)
		if !ok || kind.Provider != name {
			return usage("clawback providers lists the kinds", "configuration %s: authorities.%s: kind %q is none of its kinds", c.file, name, a.Kind)
		}
		if len(a.Parts) == 0 {
			return usage("for example parts: {value: {env: NAME}}", "configuration %s: authorities.%s: parts is missing", c.file, name)
		}
		for part, r := range a.Parts {
			if (r.Env == "") == (r.File == "") {
				return usage("write {env: NAME} or {file: /path}", "configuration %s: authorities.%s.parts.%s: exactly one of env and file", c.file, name, part)
			}
		}
	}
	for name, person := range c.Roles {
		if err := checkRole(name); err != nil || person == "" {
			return usage("write roles: {commander: alice}, of "+strings.Join(roleNames, ", "), "configuration %s: roles: %q is no role with a person", c.file, name)
		}
	}
	if c.AllowedSigners != "" && !filepath.IsAbs(c.AllowedSigners) {
		return usage("write allowed_signers: /etc/clawback/allowed_signers", "configuration %s: allowed_signers is not an absolute path", c.file)
	}
	for name, endpoint := range c.Endpoints {
		if err := checkEndpoint(name, endpoint); err != nil {
			return err
		}
	}
	if err := inventory.Check(c.Inventory); err != nil {
		return usage("clawback help config shows what it can hold", "configuration %s: %w", c.file, err)
	}
	return c.checkWitnesses()
}

// checkEndpoint refuses a URL to which secrets must not be sent.
func checkEndpoint(provider, endpoint string) error {
	if !slices.Contains(providers.Names(), provider) {
		return usage("clawback providers lists them", "endpoint: there is no provider %q", provider)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usage("write it as https://host[:port][/path]", "endpoint of %s: not a URL to which paths can be added", provider)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return usage("use https; http is for loopback alone", "endpoint of %s: secrets are not sent over %s to %s", provider, u.Scheme, u.Hostname())
	}
	return nil
}

// authority returns how an authority is loaded: anew each time, so that one that was renewed in the
// middle of a run is taken.
func (a authorityConfig) authority(env environment) func(context.Context) (revoke.Authority, error) {
	return func(context.Context) (revoke.Authority, error) {
		parts := make(map[string]string)
		var from []string
		for _, name := range slices.Sorted(maps.Keys(a.Parts)) {
			r := a.Parts[name]
			switch {
			case r.Env != "":
				from = append(from, "env "+r.Env)
				if env[r.Env] == "" {
					return revoke.Authority{}, fmt.Errorf("environment variable %s is not set", r.Env)
				}
				parts[name] = env[r.Env]
			default:
				from = append(from, "file "+r.File)
				b, err := readOwn(r.File, maxAuthority)
				if err != nil {
					return revoke.Authority{}, err
				}
				parts[name] = strings.TrimSpace(string(b))
			}
		}
		return revoke.Authority{Secret: credential.NewSecret(parts), Kind: a.Kind, From: strings.Join(from, ", ")}, nil
	}
}
