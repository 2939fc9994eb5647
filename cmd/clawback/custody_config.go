package main

import (
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/snapshots/deposit"
	"clawback/snapshots/deposit/timestamp"
)

// timestampConfig is the authority that stamps what is sealed, and whom it is believed for.
type timestampConfig struct {
	URL    string `yaml:"url"`
	Roots  string `yaml:"roots"`
	Policy string `yaml:"policy"`
	CA     string `yaml:"ca"`
}

// depositConfig is a place for evidence: exactly one of its kinds.
type depositConfig struct {
	Directory string    `yaml:"directory"`
	S3        *s3Config `yaml:"s3"`
}

// maxDeposits bounds where evidence goes.
const maxDeposits = 16

// checkCustody refuses what can never work. Files and secrets are looked at when they are needed: one
// that is missing must not hold up a response.
func (c config) checkCustody() error {
	const hint = "clawback help config shows what it can hold"
	if t := c.Evidence.Timestamp; t != nil {
		if err := t.check(); err != nil {
			return usage(hint, "configuration %s: evidence: timestamp: %w", c.file, err)
		}
	}
	if n := len(c.Evidence.Deposit); n > maxDeposits {
		return usage(hint, "configuration %s: evidence: deposit: %d places are more than %d", c.file, n, maxDeposits)
	}
	seen := make(map[string]bool)
	for i, d := range c.Evidence.Deposit {
		place, err := d.place(nil)
		if err == nil && seen[place.Folder("")] {
			err = fmt.Errorf("%s is there twice", place.Folder(""))
		}
		if err != nil {
			return usage(hint, "configuration %s: evidence: deposit[%d]: %w", c.file, i, err)
		}
		seen[place.Folder("")] = true
	}
	return nil
}

func (t timestampConfig) check() error {
	if !filepath.IsAbs(t.Roots) {
		return errors.New("roots: the absolute path of a PEM file with the roots that are believed is needed")
	}
	if t.CA != "" && !filepath.IsAbs(t.CA) {
		return errors.New("ca is not an absolute path")
	}
	policy, err := t.policy()
	if err == nil {
		_, err = timestamp.New(t.URL, nil, nil, policy, ownClock.Now)
	}
	return err
}

// policy reads a dotted OID.
func (t timestampConfig) policy() (id asn1.ObjectIdentifier, err error) {
	if t.Policy == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(t.Policy, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("policy %q is no object identifier such as 1.2.3.4", t.Policy)
		}
		id = append(id, int(n))
	}
	if _, err := asn1.Marshal(id); err != nil {
		return nil, fmt.Errorf("policy %q is no object identifier such as 1.2.3.4", t.Policy)
	}
	return id, nil
}

// authority makes the authority, from files that are read now.
func (t timestampConfig) authority() (*timestamp.Authority, error) {
	roots, err := readRoots(t.Roots)
	if err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	ca, err := readRoots(t.CA)
	if err != nil {
		return nil, err
	}
	policy, err := t.policy()
	if err != nil {
		return nil, err
	}
	return timestamp.New(t.URL, roots, ca, policy, ownClock.Now)
}

// stamper reads its files each time.
type stamper struct{ timestampConfig }

func (s stamper) URL() string { return s.timestampConfig.URL }

func (s stamper) Ask(ctx context.Context, digest [sha256.Size]byte) ([]byte, timestamp.Stamp, error) {
	a, err := s.authority()
	if err != nil {
		return nil, timestamp.Stamp{}, err
	}
	return a.Ask(ctx, digest)
}

func (s stamper) Check(kept []byte, digest [sha256.Size]byte) (timestamp.Stamp, error) {
	a, err := s.authority()
	if err != nil {
		return timestamp.Stamp{}, err
	}
	return a.Check(kept, digest)
}

// place makes a place. It reads no file yet.
func (d depositConfig) place(env environment) (deposit.Place, error) {
	switch {
	case (d.Directory == "") == (d.S3 == nil):
		return nil, errors.New("exactly one of directory and s3")
	case d.S3 == nil:
		return deposit.NewDirectory(d.Directory)
	}
	for name, r := range (witnessConfig{S3: d.S3}).references() {
		if r != nil && (r.Env == "") == (r.File == "") {
			return nil, fmt.Errorf("s3: %s: exactly one of env and file", name)
		}
	}
	unread := *d.S3
	unread.CA = ""
	s, err := unread.bucket(env)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return bucket{s, *d.S3, env}, nil
}

func (c s3Config) bucket(env environment) (*deposit.S3, error) {
	retain, err := days(c.Retain)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(c.CA)
	if err != nil {
		return nil, err
	}
	return deposit.NewS3(deposit.S3Options{
		Bucket: c.Bucket, Region: c.Region, Prefix: c.Prefix, Retain: retain, Endpoint: c.Endpoint, Roots: roots,
		KeyID: deposit.Secret(c.KeyID.secret(env)), SecretKey: deposit.Secret(c.Secret.secret(env)), Session: deposit.Secret(c.Session.secret(env)),
	})
}

// bucket reads its files each time.
type bucket struct {
	*deposit.S3 // that knows its names
	config      s3Config
	env         environment
}

func (b bucket) Put(ctx context.Context, name string, f deposit.File, hold bool) (incident.DepositedFile, error) {
	s, err := b.config.bucket(b.env)
	if err != nil {
		return incident.DepositedFile{}, err
	}
	return s.Put(ctx, name, f, hold)
}

// custodian is what the configuration says of evidence that is sealed; it was checked.
func (a *app) custodian() (c actions.Custodian) {
	if t := a.config.Evidence.Timestamp; t != nil {
		c.Stamper = stamper{*t}
	}
	for _, d := range a.config.Evidence.Deposit {
		if place, err := d.place(a.env); err == nil {
			c.Places = append(c.Places, place)
		}
	}
	if a.config.Evidence.Hold {
		c.Hold = "the desk's configuration holds all evidence (evidence: hold)"
	}
	return c
}

// whereTo says in the words of a plan what becomes of evidence that is sealed.
func (c config) whereTo() (lines []string) {
	if t := c.Evidence.Timestamp; t != nil {
		lines = append(lines, "time stamps by "+t.URL)
	}
	for _, d := range c.Evidence.Deposit {
		if place, err := d.place(nil); err == nil {
			lines = append(lines, "to "+place.Folder("INCIDENT"))
		}
	}
	if c.Evidence.Hold {
		lines = append(lines, "under a legal hold from the declaration on")
	}
	if len(c.Evidence.Deposit) == 0 {
		lines = append(lines, "left out: the configuration names no place to put evidence (evidence: deposit)")
	}
	return slices.Clip(lines)
}
