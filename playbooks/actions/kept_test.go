package actions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"clawback/forensics/incident"
	"clawback/playbooks/engine/signers"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

func recipients(t *testing.T) (age.Identity, []age.Recipient) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity, []age.Recipient{identity.Recipient()}
}

// leftKept lists what is kept in memory by this process.
func leftKept(t *testing.T) []string {
	t.Helper()
	place, err := memory()
	if err != nil {
		t.Fatal("needs a folder in memory: ", err)
	}
	list, err := filepath.Glob(filepath.Join(place, keptPrefix+strconv.Itoa(os.Getpid())+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// contains looks for a text in every file of a folder.
func contains(t *testing.T, dir, text string) (where []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			where = append(where, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// What is encrypted to others is searched while it comes, and leaves nothing in the clear.
func TestDatabasesOfEncryptedEvidence(t *testing.T) {
	for name, uses := range map[string][]string{
		"the capture ends last": {"agent.freeze", "credentials.discover", "evidence.capture files"},
		"the search ends last":  {"agent.freeze", "evidence.capture files", "credentials.discover"},
	} {
		t.Run(name, func(t *testing.T) {
			before := leftKept(t)
			value := "k" + strings.Repeat("x7", 20)
			r := newResponse(t, withDatabase(t, value))
			identity, to := recipients(t)
			r.Recipients = to
			s := play(t, r, uses...)
			want(t, s, "files", incident.Done, "")
			if !slices.ContainsFunc(s.Credentials, func(c *incident.Credential) bool { return c.Kind == "anthropic.api_key" }) || len(s.Searched.Problems) > 0 {
				t.Errorf("found %+v, searched %+v", s.Credentials, s.Searched)
			}
			if len(s.Sealed) != 1 || s.Sealed[0].Path != "evidence/files"+snapshots.LockedSuffix {
				t.Fatalf("sealed %+v", s.Sealed)
			}
			if got := contains(t, r.Dir, value); len(got) > 0 {
				t.Errorf("what is encrypted stands in the clear in %q", got)
			}
			if got := leftKept(t); len(got) > len(before) {
				t.Errorf("kept in memory: %q", got)
			}
			if found, err := (snapshots.Check{Digest: s.Sealed[0].Package, Identities: []age.Identity{identity}}).Verify(r.path(s.Sealed[0].Path)); err != nil || found.Digest != s.Sealed[0].Digest {
				t.Errorf("%+v %v", found, err)
			}
		})
	}
}

// A run that goes on with evidence of an earlier one reads it back where that can be opened, and says
// so where it cannot.
func TestDatabasesOfAnEarlierRun(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		h := withDatabase(t, "k"+strings.Repeat("x7", 20))
		search := h.discover
		h.discover = func(context.Context, func(discover.Found)) (discover.Summary, error) {
			return discover.Summary{}, errBroken
		}
		r := newResponse(t, h)
		if encrypted {
			_, r.Recipients = recipients(t)
		}
		uses := []string{"agent.freeze", "evidence.capture files", "credentials.discover"}
		live(t, r, h, nil, uses...)
		h.discover = search
		s := live(t, r, h, nil, uses...)
		read := slices.ContainsFunc(s.Credentials, func(c *incident.Credential) bool { return c.Kind == "anthropic.api_key" })
		said := slices.ContainsFunc(s.Warnings, func(w incident.Warning) bool { return strings.Contains(w.Text, "evidence that is encrypted") })
		if read == encrypted || said != encrypted || len(s.Sealed) != 1 {
			t.Errorf("encrypted %v: read %v, said %v; sealed %+v", encrypted, read, said, s.Sealed)
		}
		if left := leftKept(t); len(left) > 0 {
			t.Errorf("kept in memory: %q", left)
		}
	}
}

func TestKeptIsBounded(t *testing.T) {
	leftKept(t)
	k, err := newKept()
	if err != nil {
		t.Fatal(err)
	}
	defer k.wipe()
	for _, name := range []string{"/etc/passwd", "../x", "a/../b", "", "nul\x00", "a//b", strings.Repeat("long/", 2000)} {
		f := snapshots.File{Path: name, Verdict: snapshots.Stable}
		w := k.begin(f)
		w.write([]byte("x"))
		k.end(f, w)
	}
	big := snapshots.File{Path: "home/u/.openclaw/notes", Verdict: snapshots.Stable}
	w := k.begin(big)
	w.write(make([]byte, maxSmallFile))
	w.write([]byte("x"))
	k.end(big, w)
	k.bytes = maxKeptBytes
	over := snapshots.File{Path: databaseName, Verdict: snapshots.Stable}
	w = k.begin(over)
	w.write([]byte("x"))
	k.end(over, w)
	if !strings.Contains(k.torn[databaseName], "too large") || len(k.databases) > 0 {
		t.Errorf("%q", k.torn)
	}
	err = filepath.WalkDir(k.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("kept: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What a program that died kept in memory is removed by the next one.
func TestKeptOfTheDead(t *testing.T) {
	leftKept(t)
	place, _ := memory()
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(place, fmt.Sprintf("%s%d-1", keptPrefix, child.Process.Pid))
	alive := filepath.Join(place, fmt.Sprintf("%s%d-1", keptPrefix, os.Getppid()))
	if err := errors.Join(os.Mkdir(dead, 0o700), os.Mkdir(alive, 0o700)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dead)
	defer os.RemoveAll(alive)
	k, err := newKept()
	if err != nil {
		t.Fatal(err)
	}
	defer k.wipe()
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there (%v)", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Error(err)
	}
}

// A signature that cannot be made is a problem on record, and the evidence is sealed all the same.
func TestSignedEvidence(t *testing.T) {
	_, key, err := signers.Generate("test")
	if err != nil {
		t.Fatal(err)
	}
	good := func(_ context.Context, message io.Reader) (string, string, error) {
		armored, err := signers.SignFrom(key, signers.Evidence, message)
		return armored, "SHA256:test", err
	}
	for name, c := range map[string]struct {
		sign   Signer
		signed bool
	}{
		"signed":     {good, true},
		"no key":     {func(context.Context, io.Reader) (string, string, error) { return "", "", errBroken }, false},
		"half of it": {func(context.Context, io.Reader) (string, string, error) { return "signature", "SHA256:test", nil }, false},
		"nobody is home": {func(ctx context.Context, _ io.Reader) (string, string, error) {
			return "", "", context.DeadlineExceeded
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResponse(t, &machine{})
			r.Sign = c.sign
			s := play(t, r, "agent.freeze", "evidence.capture files", "agent.stop")
			want(t, s, "files", incident.Done, "")
			want(t, s, "stop", incident.Done, "")
			sealed := s.Sealed[0]
			armored, err := os.ReadFile(r.path(sealed.Path + snapshots.SignatureSuffix))
			if c.signed != (err == nil) || c.signed != (sealed.Signer != "") {
				t.Errorf("%v, %+v", err, sealed)
			}
			if !c.signed && (len(sealed.Problems) != 1 || !strings.Contains(sealed.Problems[0], "ssh-keygen -Y sign -n evidence@clawback")) {
				t.Errorf("%q", sealed.Problems)
			}
			if c.signed {
				file, err := os.Open(r.path(sealed.Path))
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				if _, err := signers.VerifyFrom(file, string(armored), signers.Evidence); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
