package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"clawback/forensics/journal"
)

// MaxFile is how many bytes a plan file may have.
const MaxFile = 16 << 20

// ErrNotPlan means that a file is no plan that this program wrote.
var ErrNotPlan = errors.New("not a plan file")

// Encode writes a plan in its one form: equal plans have equal bytes.
func Encode(p Plan) ([]byte, error) {
	raw, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	raw = append(journal.Visible(raw), '\n')
	if len(raw) > MaxFile {
		return nil, fmt.Errorf("the plan has %d bytes, more than %d", len(raw), MaxFile)
	}
	return raw, nil
}

// Decode reads a plan file. A file in any other form than Encode's is ErrNotPlan, so that what a
// person or another program reads in it is what is carried out: no key stands twice, none is
// unknown, nothing is hidden.
func Decode(raw []byte) (Plan, error) {
	var p Plan
	if len(raw) > MaxFile {
		return p, fmt.Errorf("%w: it has %d bytes, more than %d", ErrNotPlan, len(raw), MaxFile)
	}
	var head struct {
		Format int `json:"clawback_plan"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return p, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	if head.Format == 0 {
		return p, fmt.Errorf("%w: it has no clawback_plan", ErrNotPlan)
	}
	if head.Format != Format {
		return p, fmt.Errorf("%w of this program: it is of format %d, and this reads %d", ErrNotPlan, head.Format, Format)
	}
	var exact Plan // with the numbers as they are written
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&exact); err != nil {
		return p, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return p, fmt.Errorf("%w: something stands after its end", ErrNotPlan)
	}
	again, err := Encode(exact)
	if err != nil || !bytes.Equal(again, raw) {
		return p, fmt.Errorf("%w: it is not as clawback writes it: somebody changed it", ErrNotPlan)
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	if err := p.sound(); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	return p, nil
}

// sound checks what the form alone does not.
func (p Plan) sound() error {
	deadline, err := time.ParseDuration(p.Asked.Deadline)
	switch {
	case !identifier.MatchString(p.ID):
		return fmt.Errorf("%.60q is no id of a plan", p.ID)
	case !p.Until.After(p.Made):
		return errors.New("it ends before it begins")
	case err != nil || deadline <= 0:
		return fmt.Errorf("%.60q is no deadline", p.Asked.Deadline)
	case p.Asked.Playbook == "":
		return errors.New("it names no playbook")
	case p.Asked.Host != "" && p.Asked.Root != "":
		return errors.New("it names two different targets")
	}
	seen := make(map[string]bool)
	for _, c := range p.Credentials {
		if len(c.Fingerprint) != hex.EncodedLen(sha256.Size) || seen[string(c.Fingerprint)] {
			return errors.New("a credential has no fingerprint of its own")
		}
		seen[string(c.Fingerprint)] = true
	}
	return nil
}

// Deadline is until when each death has to be proved.
func (p Plan) Deadline() time.Duration {
	d, _ := time.ParseDuration(p.Asked.Deadline) // Decode checked it
	return d
}

// Digest is the SHA-256 of a plan file, in hex: what an approval is about.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// kind returns what holds for a kind of credential.
func (p Plan) kind(name string) Kind {
	i := slices.IndexFunc(p.Kinds, func(k Kind) bool { return k.Kind == name })
	if i < 0 {
		return Kind{Kind: name}
	}
	return p.Kinds[i]
}
