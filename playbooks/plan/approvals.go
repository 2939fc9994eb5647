package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
)

// What lies beside a plan file.
const (
	maxApprovals = 100
	maxApproval  = 64 << 10
	// maxSigned is how large a plan file may be of which the whole is the signed message: the
	// record keeps it beside the signature, so that anybody can check it.
	maxSigned = 512 << 10
)

// Given reads the approvals that lie beside a plan file, as FILE.NAME.sig, and returns those that
// hold at that time. Each is either a message of clawback approve, or what
//
//	ssh-keygen -Y sign -n clawback-approval@v1 -f KEY FILE
//
// writes, under the name of who signed: that approves every step that needs it. What does not hold
// is among refused, with the reason.
func Given(file string, raw []byte, p Plan, list signers.Signers, at time.Time) (given []incident.Approved, refused []error) {
	names, err := beside(file)
	if err != nil {
		return nil, []error{fmt.Errorf("look for approvals beside the plan: %w", err)}
	}
	for _, name := range names {
		found, err := approvals(filepath.Join(filepath.Dir(file), name), who(file, name), raw, p, list, at)
		if err != nil {
			refused = append(refused, fmt.Errorf("%s does not count: %w", name, err))
		}
		given = append(given, found...)
	}
	return given, refused
}

// beside lists the files of approvals, in the order of their names.
func beside(file string) ([]string, error) {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	all, err := dir.Readdirnames(-1)
	names := slices.DeleteFunc(all, func(n string) bool { return who(file, n) == "" })
	slices.Sort(names)
	if len(names) > maxApprovals {
		return nil, fmt.Errorf("there are %d, more than %d", len(names), maxApprovals)
	}
	return names, err
}

// who is the NAME of FILE.NAME.sig, or "".
func who(file, name string) string {
	rest, ok := strings.CutPrefix(name, filepath.Base(file)+".")
	if !ok {
		return ""
	}
	rest, ok = strings.CutSuffix(rest, ".sig")
	if !ok {
		return ""
	}
	return rest
}

func approvals(path, as string, raw []byte, p Plan, list signers.Signers, at time.Time) ([]incident.Approved, error) {
	sig, err := readApproval(path)
	if err != nil {
		return nil, err
	}
	var found []incident.Approved
	if bytes.HasPrefix(sig, []byte("-----BEGIN SSH SIGNATURE-----")) {
		found, err = plain(string(sig), as, raw, p, list, at)
	} else {
		var one incident.Approved
		one, err = inbox.Beforehand(sig, p.Playbook.Plan, Digest(raw), list, at)
		found = []incident.Approved{one}
	}
	if err != nil {
		return nil, err
	}
	for _, a := range found {
		if strings.EqualFold(a.By, p.By) || slices.Contains(list.Keys(p.By), a.Key) {
			return nil, fmt.Errorf("%s made the plan, and nobody approves their own request", p.By)
		}
	}
	return found, nil
}

// plain checks a signature over the plan file itself.
func plain(sig, as string, raw []byte, p Plan, list signers.Signers, at time.Time) ([]incident.Approved, error) {
	if len(raw) > maxSigned {
		return nil, fmt.Errorf("the plan has more than %d bytes: approve it with clawback approve", maxSigned)
	}
	key, err := signers.Verify(raw, sig, signers.Approvals)
	if err != nil {
		return nil, err
	}
	if err := list.Allow(as, key, signers.Approvals, at); err != nil {
		return nil, err
	}
	var found []incident.Approved
	for _, phase := range p.Playbook.Phases {
		for _, s := range phase.Steps {
			if s.Approvals == 0 {
				continue
			}
			binds, err := incident.Binds(Digest(raw), p.Playbook.Plan, s.ID)
			if err != nil {
				return nil, err
			}
			found = append(found, incident.Approved{
				Step: s.ID, By: as, Key: ssh.FingerprintSHA256(key), Binds: binds, Plan: Digest(raw), Message: string(raw), Signature: sig,
			})
		}
	}
	if found == nil {
		return nil, errors.New("no step of the plan needs an approval")
	}
	return found, nil
}

// readApproval reads a regular file of bounded size, and waits for nothing.
func readApproval(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() > maxApproval:
		return nil, fmt.Errorf("it has more than %d bytes", maxApproval)
	}
	return io.ReadAll(io.LimitReader(f, maxApproval))
}
