package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/snapshots"
)

// signWait is how long a package waits for its signature: an agent may ask a person, and the agent
// that is under suspicion is not killed before.
const signWait = 15 * time.Second

// Signer signs what a reader gives as ssh-keygen -Y sign does for evidence@clawback, and returns the
// fingerprint of its key too.
type Signer func(ctx context.Context, message io.Reader) (armored, fingerprint string, err error)

// sign puts a signature beside a package that is sealed. One that cannot be made is a problem on
// record, and no reason to have no evidence.
func (r *Response) sign(ctx context.Context, path string, sealed *incident.Sealed) {
	if r.Sign == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signWait)
	defer cancel()
	print, err := r.signature(ctx, path, sealed.Package)
	if err != nil {
		sealed.Problems = append(sealed.Problems, fmt.Sprintf("%s is not signed: %v. To sign it later: ssh-keygen -Y sign -n evidence@clawback -f KEY %s", sealed.Path, err, sealed.Path))
		return
	}
	sealed.Signer = print
}

// signature signs the file as it can be read, if that is what was sealed.
func (r *Response) signature(ctx context.Context, path, digest string) (fingerprint string, err error) {
	file, err := disk.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	armored, print, err := r.Sign(ctx, io.TeeReader(file, sum))
	if err != nil {
		return "", err
	}
	if hex.EncodeToString(sum.Sum(nil)) != digest {
		return "", errors.New("what can be read of it is not what was sealed")
	}
	return print, disk.Replace(r.Disk, path+snapshots.SignatureSuffix, []byte(armored), 0o600)
}
