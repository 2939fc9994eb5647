package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"clawback/forensics/journal/witness"
)

// witnessConfig is a sink off this machine that is given the record: exactly one of its kinds.
type witnessConfig struct {
	Name   string        `yaml:"name"`
	Syslog *syslogConfig `yaml:"syslog"`
	HTTPS  *httpsConfig  `yaml:"https"`
	Dir    *dirConfig    `yaml:"dir"`
	S3     *s3Config     `yaml:"s3"`
}

type syslogConfig struct {
	Address string `yaml:"address"`
	CA      string `yaml:"ca"`
	Cert    string `yaml:"cert"`
	Key     string `yaml:"key"`
	Longest int    `yaml:"max_message"`
}

type httpsConfig struct {
	URL   string     `yaml:"url"`
	CA    string     `yaml:"ca"`
	Token *reference `yaml:"token"`
}

type dirConfig struct {
	Path string `yaml:"path"`
}

type s3Config struct {
	Bucket   string     `yaml:"bucket"`
	Region   string     `yaml:"region"`
	Prefix   string     `yaml:"prefix"`
	Retain   string     `yaml:"retain"`
	Endpoint string     `yaml:"endpoint"`
	CA       string     `yaml:"ca"`
	KeyID    *reference `yaml:"access_key_id"`
	Secret   *reference `yaml:"secret_access_key"`
	Session  *reference `yaml:"session_token"`
}

const witnessHelp = `witness:                    # sinks off this machine that are given the record while it is written
  - name: siem              # TCP with TLS; one message a line; nothing says that it was kept
    syslog: {address: "siem.example.com:6514", ca: /etc/clawback/siem-ca.pem}   # also cert, key, max_message
  - name: audit             # one POST of JSON a second or less
    https: {url: "https://audit.example.com/clawback", token: {env: AUDIT_TOKEN}}   # also ca
  - name: share             # a copy of the record on a mounted share
    dir: {path: /mnt/audit}
  - name: vault             # a bucket made with Object Lock on; objects are locked in compliance mode
    s3: {bucket: audit-clawback, region: eu-central-1, retain: 365d,
      access_key_id: {env: VAULT_KEY_ID}, secret_access_key: {file: /etc/clawback/vault-secret}}   # also prefix, session_token, endpoint, ca
`

// checkWitnesses refuses what can never work. Files and secrets are looked at when they are needed:
// one that is missing must not hold up a response.
func (c config) checkWitnesses() error {
	seen := make(map[string]bool)
	for i, w := range c.Witness {
		where := fmt.Sprintf("configuration %s: witness[%d]", c.file, i)
		if err := witness.CheckName(w.Name); err != nil {
			return usage("give it a name, such as siem", "%s: name %w", where, err)
		}
		where = fmt.Sprintf("configuration %s: witness %s", c.file, w.Name)
		if seen[w.Name] {
			return usage("each needs its own", "%s: the name is there twice", where)
		}
		seen[w.Name] = true
		if err := w.check(); err != nil {
			return usage("clawback help config shows what it can hold", "%s: %w", where, err)
		}
	}
	return nil
}

func (w witnessConfig) check() error {
	kinds := 0
	for _, there := range []bool{w.Syslog != nil, w.HTTPS != nil, w.Dir != nil, w.S3 != nil} {
		if there {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("exactly one of syslog, https, dir and s3")
	}
	for name, r := range w.references() {
		if r != nil && (r.Env == "") == (r.File == "") {
			return fmt.Errorf("%s: exactly one of env and file", name)
		}
	}
	if w.Syslog != nil && (w.Syslog.Cert == "") != (w.Syslog.Key == "") {
		return errors.New("cert and key go together")
	}
	w.withoutFiles()
	_, err := w.sink(nil)
	return err
}

// withoutFiles leaves out what has to be read, in a copy.
func (w *witnessConfig) withoutFiles() {
	switch {
	case w.Syslog != nil:
		c := *w.Syslog
		c.CA, c.Cert, c.Key = "", "", ""
		w.Syslog = &c
	case w.HTTPS != nil:
		c := *w.HTTPS
		c.CA = ""
		w.HTTPS = &c
	case w.S3 != nil:
		c := *w.S3
		c.CA = ""
		w.S3 = &c
	}
}

func (w witnessConfig) references() map[string]*reference {
	switch {
	case w.HTTPS != nil:
		return map[string]*reference{"token": w.HTTPS.Token}
	case w.S3 != nil:
		return map[string]*reference{"access_key_id": w.S3.KeyID, "secret_access_key": w.S3.Secret, "session_token": w.S3.Session}
	}
	return nil
}

// sink makes the sink. It reads certificates, and no secret yet.
func (w witnessConfig) sink(env environment) (witness.Sink, error) {
	switch {
	case w.Syslog != nil:
		return w.Syslog.sink()
	case w.HTTPS != nil:
		roots, err := readRoots(w.HTTPS.CA)
		if err != nil {
			return nil, err
		}
		return asSink(witness.NewHTTPS(w.HTTPS.URL, w.HTTPS.Token.secret(env), roots))
	case w.Dir != nil:
		return asSink(witness.NewDir(w.Dir.Path))
	}
	retain, err := days(w.S3.Retain)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(w.S3.CA)
	if err != nil {
		return nil, err
	}
	return asSink(witness.NewS3(witness.S3Options{
		Bucket: w.S3.Bucket, Region: w.S3.Region, Prefix: w.S3.Prefix, Retain: retain, Endpoint: w.S3.Endpoint, Roots: roots,
		KeyID: w.S3.KeyID.secret(env), SecretKey: w.S3.Secret.secret(env), Session: w.S3.Session.secret(env),
	}))
}

// asSink keeps a nil pointer from becoming a sink.
func asSink[S witness.Sink](s S, err error) (witness.Sink, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c *syslogConfig) sink() (witness.Sink, error) {
	o := witness.SyslogOptions{Address: c.Address, Message: c.Longest, Host: hostname(), Process: os.Getpid()}
	var err error
	if o.Roots, err = readRoots(c.CA); err != nil {
		return nil, err
	}
	if c.Cert != "" {
		cert, err := readOwn(c.Cert, maxAuthority)
		if err != nil {
			return nil, err
		}
		key, err := readOwn(c.Key, maxAuthority)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert %s and key %s: %w", c.Cert, c.Key, err)
		}
		o.Client = []tls.Certificate{pair}
	}
	return asSink(witness.NewSyslog(o))
}

// readRoots reads certificate authorities; nil, for those of the system, where no file is named.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := readOwn(path, maxConfig)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca %s holds no certificate", path)
	}
	return roots, nil
}

// days reads "365d", or what Go takes for a duration.
func days(text string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		d, err := strconv.ParseUint(n, 10, 16)
		if err == nil && d <= 36500 {
			return time.Duration(d) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("retain %q is not a time such as 365d", text)
	}
	return d, nil
}

// secret returns how a reference is read: anew each time. nil where there is none.
func (r *reference) secret(env environment) witness.Secret {
	if r == nil {
		return nil
	}
	return func() (string, error) {
		if r.Env != "" {
			if env[r.Env] == "" {
				return "", fmt.Errorf("environment variable %s is not set", r.Env)
			}
			return env[r.Env], nil
		}
		b, err := readOwn(r.File, maxAuthority)
		return strings.TrimSpace(string(b)), err
	}
}

// unready is a sink that could not be made yet, because a file is missing: it is tried again with
// every delivery.
type unready struct {
	config witnessConfig
	env    environment
	sink   witness.Sink // once it could be made
}

func (u *unready) Kind() string {
	switch {
	case u.config.Syslog != nil:
		return "syslog"
	case u.config.HTTPS != nil:
		return "https"
	case u.config.Dir != nil:
		return "dir"
	}
	return "s3"
}

func (u *unready) Send(ctx context.Context, d witness.Delivery) error {
	if u.sink == nil {
		sink, err := u.config.sink(u.env)
		if err != nil {
			return err
		}
		u.sink = sink
	}
	return u.sink.Send(ctx, d)
}
