package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/snapshots/deposit/timestamp"
)

// verifyCustody checks the time stamps of a record that was found whole, and says what nobody asked.
func (a *app) verifyCustody(dir, rootsFile string) error {
	s, err := readRecord(dir)
	if err != nil {
		return wrong(err)
	}
	roots, policy, err := a.believed(rootsFile)
	if err != nil {
		return err
	}
	for _, i := range s.Custody.Items {
		for _, e := range i.Events {
			switch {
			case e.Stamped != nil && e.Stamped.File != "" && !i.Replaced:
				line, err := checkStamp(dir, *e.Stamped, timestamp.Trust{Roots: roots, Policy: policy, Now: ownClock.Now()})
				if err != nil {
					return &failure{incident.ExitNothing, err, "compare with a copy from elsewhere; clawback custody " + show(s.Declared.Incident) + " says where there is one"}
				}
				fmt.Fprintln(a.out, incident.Safe(line))
			case e.Deposited != nil && e.Error == "":
				fmt.Fprintln(a.out, incident.Safe(fmt.Sprintf("%s: in %s since %s, by the record; not asked: clawback custody deposit %s asks and reads it back",
					i.Item, e.Deposited.Place, e.At.Format(time.RFC3339), s.Declared.Incident)))
			}
		}
	}
	return nil
}

// verifyBeside checks the time stamp that lies beside a package, where one does.
func (a *app) verifyBeside(path, rootsFile string) error {
	beside := path + actions.StampSuffix
	kept, err := readStamp(beside)
	if errors.Is(err, fs.ErrNotExist) && rootsFile == "" {
		return nil
	}
	roots, policy, rootsErr := a.believed(rootsFile)
	if rootsErr != nil {
		return rootsErr
	}
	var s timestamp.Stamp
	if err == nil && roots == nil {
		fmt.Fprintln(a.out, incident.Safe(beside+": NOT checked: name whom you believe with --tsa-roots FILE"))
		return nil
	}
	if err == nil {
		s, err = stampOf(path, kept, timestamp.Trust{Roots: roots, Policy: policy, Now: ownClock.Now()})
	}
	if err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("time stamp %s: %w", beside, err), "compare with a copy from elsewhere"}
	}
	fmt.Fprintln(a.out, incident.Safe(fmt.Sprintf("%s: the package existed on %s, says %s (policy %s, serial %s)", beside, s.Time.Format(time.RFC3339), s.By, s.Policy, s.Serial)))
	return nil
}

// stampOf checks a stamp against the file that it has to be of.
func stampOf(path string, kept []byte, t timestamp.Trust) (timestamp.Stamp, error) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return timestamp.Stamp{}, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return timestamp.Stamp{}, err
	}
	return timestamp.Verify(kept, [sha256.Size]byte(sum.Sum(nil)), t)
}

// believed are the roots that time stamps are held against: those named, or the configuration's.
func (a *app) believed(file string) (*x509.CertPool, []int, error) {
	var policy []int
	if t := a.config.Evidence.Timestamp; t != nil && file == "" {
		file = t.Roots
		policy, _ = t.policy() // checked when it was read
	}
	if file == "" {
		return nil, nil, nil
	}
	roots, err := readRoots(file)
	if err != nil {
		return nil, nil, usage("name a PEM file with the roots that you believe", "roots of time stamps: %w", err)
	}
	return roots, policy, nil
}

// checkStamp checks one kept stamp against the record and the roots. Without roots it can be told
// whether it is the one of the record, and no more.
func checkStamp(dir string, v incident.Stamped, t timestamp.Trust) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(v.File)) {
		return "", fmt.Errorf("the record names a time stamp that is not in the folder of the incident: %q", v.File)
	}
	path := filepath.Join(dir, filepath.FromSlash(v.File))
	kept, err := readStamp(path)
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(kept); hex.EncodeToString(sum[:]) != v.SHA256 {
		return "", fmt.Errorf("%s: it is not the time stamp that the record names: it was changed or replaced (SHA-256 %x, recorded %s)", path, sum, v.SHA256)
	}
	if t.Roots == nil {
		return path + ": the time stamp of the record; NOT checked: name whom you believe with --tsa-roots FILE", nil
	}
	digest, err := hex.DecodeString(v.Package)
	if err != nil || len(digest) != sha256.Size {
		return "", errors.New("the record holds no SHA-256 of what was stamped")
	}
	s, err := timestamp.Verify(kept, [sha256.Size]byte(digest), t)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Sprintf("%s: %s of %s existed on %s, says %s (policy %s, serial %s)", path, v.Package, v.Item, s.Time.Format(time.RFC3339), s.By, s.Policy, s.Serial), nil
}

// readStamp reads a small file that nobody can make us wait for.
func readStamp(path string) ([]byte, error) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxAuthority+1))
}
