package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"

	"clawback/forensics/incident"
	"clawback/revoke/inventory"
	"clawback/tui"
)

// config is clawback.yaml at the desk.
type config struct {
	Responder   string                     `yaml:"responder"`
	Authorities map[string]authorityConfig `yaml:"authorities"`
	Endpoints   map[string]endpointConfig  `yaml:"endpoints"`
	Settings    map[string]yaml.Node       `yaml:"settings"` // of providers
	SSHConfig   string                     `yaml:"ssh_config"`
	Hosts       []string                   `yaml:"hosts"`     // that a forced command may respond to
	Playbooks   []string                   `yaml:"playbooks"` // of the desk's own: files that Home offers beside those that come along
	Theme       string                     `yaml:"theme"`     // of the console: one of tui.Themes

	Isolation isolationConfig `yaml:"isolation"`
	Evidence  evidenceConfig  `yaml:"evidence"`

	Brokers map[string]brokerConfig `yaml:"brokers"`

	AllowedSigners string            `yaml:"allowed_signers"`
	Roles          map[string]string `yaml:"roles"`

	Inventory []incident.InventoryItem `yaml:"inventory"`

	Witness []witnessConfig `yaml:"witness"`

	file string
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
	if err := c.checkAuthorities(); err != nil {
		return err
	}
	for name, person := range c.Roles {
		if err := checkRole(name); err != nil || person == "" {
			return usage("write roles: {commander: alice}, of "+strings.Join(roleNames, ", "), "configuration %s: roles: %q is no role with a person", c.file, name)
		}
	}
	if c.AllowedSigners != "" && !filepath.IsAbs(c.AllowedSigners) {
		return usage("write allowed_signers: /etc/clawback/allowed_signers", "configuration %s: allowed_signers is not an absolute path", c.file)
	}
	if err := c.checkEndpoints(); err != nil {
		return err
	}
	if err := inventory.Check(c.Inventory); err != nil {
		return usage("clawback help config shows what it can hold", "configuration %s: %w", c.file, err)
	}
	if c.Theme != "" && !slices.Contains(tui.Themes, c.Theme) {
		return usage("write theme: dark, or theme: light", "configuration %s: there is no theme %q", c.file, c.Theme)
	}
	if slices.ContainsFunc(c.Playbooks, func(file string) bool { return !filepath.IsAbs(file) }) {
		return usage("write playbooks: [/etc/clawback/ours.yaml]", "configuration %s: playbooks: not all of them are absolute paths", c.file)
	}
	if err := c.checkHosts(); err != nil {
		return err
	}
	if err := c.checkIsolation(); err != nil {
		return err
	}
	if err := c.checkEvidence(); err != nil {
		return err
	}
	if err := c.checkBrokers(); err != nil {
		return err
	}
	return c.checkWitnesses()
}
