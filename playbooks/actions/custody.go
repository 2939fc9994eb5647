package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/snapshots"
	"clawback/snapshots/deposit"
	"clawback/snapshots/deposit/timestamp"
)

// Stamper is a time stamping authority: timestamp.Authority.
type Stamper interface {
	URL() string
	// Ask has a digest stamped. It waits no longer than timestamp.Wait.
	Ask(ctx context.Context, digest [sha256.Size]byte) ([]byte, timestamp.Stamp, error)
	// Check says what a kept stamp proves.
	Check(kept []byte, digest [sha256.Size]byte) (timestamp.Stamp, error)
}

// Custodian is what the desk does with evidence that is sealed.
type Custodian struct {
	Stamper Stamper // nil where the desk names none
	Places  []deposit.Place
	Hold    string // why evidence is under a legal hold from the declaration on; "" where it is not
}

// StampSuffix is what the name of a time stamp has behind that of its package.
const StampSuffix = ".tsr"

const mostStamp = 64 << 10

// besidePackage are the endings of what belongs to a package and lies beside it.
var besidePackage = []string{snapshots.DigestSuffix, snapshots.SignatureSuffix, StampSuffix}

// holdFromStart puts the evidence of a new incident under a legal hold before there is any.
func (r *Response) holdFromStart(d incident.Declared, rec noter) {
	if r.Custodian.Hold != "" && !d.DryRun {
		rec.Note(incident.TypeHold, incident.Hold{On: true, By: d.Responder, Why: r.Custodian.Hold})
	}
}

// heldFor says why what is sealed now is under a legal hold; "" where it is not.
func (r *Response) heldFor() string {
	if r.Before == nil {
		return r.Custodian.Hold
	}
	if c := r.Before.State.Custody; c.Held() {
		return c.Hold.Why
	}
	return ""
}

// stampSealed has a package stamped as soon as it is sealed. Nothing waits for it but its deposit and the
// end of the run, and neither for long.
func (r *Response) stampSealed(ctx context.Context, s incident.Sealed, rec noter) {
	if r.Custodian.Stamper == nil || s.Package == "" {
		return
	}
	if r.Before != nil {
		if i := r.Before.State.Custody.Item(incident.ItemName(s)); i != nil && i.Evidence.Package == s.Package && i.Stamp() != nil {
			return
		}
	}
	r.stamping.Go(func() { rec.Note(incident.TypeStamped, r.stamp(context.WithoutCancel(ctx), s)) })
}

// stamp has a package stamped by the digest with which it is on record. A stamp that lies there already
// is taken.
func (r *Response) stamp(ctx context.Context, s incident.Sealed) incident.Stamped {
	out := incident.Stamped{Item: incident.ItemName(s), Package: s.Package, Authority: r.Custodian.Stamper.URL()}
	failed := func(err error, hint string) incident.Stamped {
		out.Error, out.Hint = incident.Cut(err.Error(), maxReason), hint
		return out
	}
	again := "clawback custody stamp " + filepath.Base(r.Dir) + " asks again"
	digest, err := digestOf(s.Package)
	if err != nil {
		return failed(err, "")
	}
	file := s.Path + StampSuffix
	kept, err := readSidecar(r.path(filepath.FromSlash(file)))
	var stamp timestamp.Stamp
	switch {
	case err == nil:
		if stamp, err = r.Custodian.Stamper.Check(kept, digest); err != nil {
			return failed(fmt.Errorf("%s: %w", file, err), "keep that file elsewhere; then "+again)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return failed(err, again)
	default:
		if kept, stamp, err = r.Custodian.Stamper.Ask(ctx, digest); err != nil {
			return failed(err, again)
		}
		if err := disk.Replace(r.Disk, r.path(filepath.FromSlash(file)), kept, 0o600); err != nil {
			return failed(fmt.Errorf("keep the time stamp: %w", err), "make room at the desk; then "+again)
		}
	}
	sum := sha256.Sum256(kept)
	out.File, out.SHA256 = file, hex.EncodeToString(sum[:])
	out.Time, out.By, out.Policy, out.Serial = stamp.Time, incident.Cut(stamp.By, maxReason), stamp.Policy, stamp.Serial
	return out
}

func digestOf(text string) (digest [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != sha256.Size {
		return digest, errors.New("the record holds no SHA-256 of it")
	}
	return [sha256.Size]byte(b), nil
}

// readSidecar reads a small file that lies beside a package.
func readSidecar(path string) ([]byte, error) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, mostStamp+1))
}

// deposit puts what is sealed into each place of the configuration, all places at once. Nothing waits
// for it. What lies there already, proved, is left alone.
func (r *Response) deposit(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	if r.Score != nil {
		return engine.Skipped{Reason: "the evidence of a drill is put nowhere"}
	}
	if len(r.Custodian.Places) == 0 {
		return engine.Skipped{Reason: "the configuration names no place to put evidence (evidence: deposit)"}
	}
	r.depositing.Lock() // another step may deposit what was sealed before
	defer r.depositing.Unlock()
	r.stamping.Wait()
	s, err := foldAll(ctx, r.late.rec.j)
	if err != nil {
		return err
	}
	var todo []todeposit
	for _, i := range s.Custody.Items {
		for _, place := range r.Custodian.Places {
			if i.Evidence.Package != "" && !i.Replaced && !lies(i, place.Folder(filepath.Base(r.Dir))) {
				todo = append(todo, todeposit{i, place})
			}
		}
	}
	if len(todo) == 0 {
		return engine.Skipped{Reason: "there is no package that does not lie there already"}
	}
	return r.depositAll(ctx, todo, s.Custody.Held(), s.Declared.Responder, func(typ string, data any) error { rec.Note(typ, data); return nil })
}

// lies reports whether a package lies in a place, as was proved.
func lies(i *incident.CustodyItem, place string) bool {
	for _, e := range i.Events {
		if d := e.Deposited; d != nil && e.Error == "" && d.Place == place && d.Package == i.Evidence.Package {
			return true
		}
	}
	return false
}

// todeposit is an item that has to go to a place.
type todeposit struct {
	item  *incident.CustodyItem
	place deposit.Place
}

// depositAll works on all places at once, in each on one item after the other.
func (r *Response) depositAll(ctx context.Context, todo []todeposit, hold bool, by string, note func(typ string, data any) error) error {
	byPlace := make(map[string][]todeposit)
	for _, t := range todo {
		name := t.place.Folder("")
		byPlace[name] = append(byPlace[name], t)
	}
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	for _, here := range byPlace {
		all.Go(func() {
			for _, t := range here {
				d := r.depositOne(ctx, t.place, t.item.Evidence, hold)
				d.By = by
				noted := note(incident.TypeDeposited, d)
				mu.Lock()
				errs = append(errs, noted)
				if d.Error != "" {
					errs = append(errs, fmt.Errorf("%s evidence to %s: %s", d.Item, d.Place, d.Error))
				} else if list := d.Unproved(); len(list) > 0 {
					errs = append(errs, fmt.Errorf("%s evidence lies in %s, and not proved is %s", d.Item, d.Place, strings.Join(list, "; ")))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return hinted{err: err, hint: depositHint(r.Dir)}
	}
	return nil
}

func depositHint(dir string) string {
	return "the evidence is at the desk, sealed; clawback custody deposit " + filepath.Base(dir) + " tries again"
}

// depositOne puts a package, and what lies beside it, into one place.
func (r *Response) depositOne(ctx context.Context, place deposit.Place, s incident.Sealed, hold bool) incident.Deposited {
	name := filepath.Base(r.Dir)
	out := incident.Deposited{Item: incident.ItemName(s), Package: s.Package, Kind: place.Kind(), Place: place.Folder(name)}
	files, err := r.filesOf(ctx, s)
	for _, f := range files {
		if err != nil {
			break
		}
		var kept incident.DepositedFile
		if kept, err = place.Put(ctx, name, f, hold); err == nil {
			out.Files = append(out.Files, kept)
		}
	}
	if err != nil {
		out.Error, out.Hint = incident.Cut(err.Error(), maxReason), depositHint(r.Dir)
	}
	return out
}

// filesOf are a package with the digest of the record, so that nothing else goes up in its name, and
// what lies beside it.
func (r *Response) filesOf(ctx context.Context, s incident.Sealed) ([]deposit.File, error) {
	path := r.path(filepath.FromSlash(s.Path))
	if !filepath.IsLocal(filepath.FromSlash(s.Path)) {
		return nil, errors.New("the record names evidence that is not in the folder of the incident")
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	files := []deposit.File{{Path: path, SHA256: s.Package, Bytes: info.Size()}}
	for _, ending := range besidePackage {
		f, err := deposit.Look(ctx, path+ending)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Custody adds to the custody log of a record that is taken up again: do is given where to note it. The
// report is written anew and the record closed, whatever do returns.
func (r *Response) Custody(ctx context.Context, j *journal.Journal, do func(context.Context, func(typ string, data any) error) error) (incident.State, error) {
	r.Actions()
	defer r.vault.close()
	r.Before.Resumed.For = incident.ToCustody
	if err := j.Append(context.WithoutCancel(ctx), incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, err
	}
	r.warnBefore(notesOf{j})
	failed := do(ctx, func(typ string, data any) error { return j.Append(context.WithoutCancel(ctx), typ, data) })
	s, err := r.conclude(context.WithoutCancel(ctx), j)
	return s, errors.Join(failed, err)
}

// StampAll has each package stamped that has no stamp yet.
func (r *Response) StampAll(ctx context.Context, note func(typ string, data any) error) error {
	var errs []error
	for _, i := range r.Before.State.Custody.Items {
		if i.Replaced || i.Evidence.Package == "" || i.Stamp() != nil {
			continue
		}
		v := r.stamp(ctx, i.Evidence)
		if v.Error != "" {
			errs = append(errs, fmt.Errorf("%s evidence: %s", i.Item, v.Error))
		}
		errs = append(errs, note(incident.TypeStamped, v))
	}
	return errors.Join(errs...)
}

// DepositAll puts each package into each place, and reads back anew what lies there already.
func (r *Response) DepositAll(ctx context.Context, by string, note func(typ string, data any) error) error {
	var todo []todeposit
	for _, i := range r.Before.State.Custody.Items {
		for _, place := range r.Custodian.Places {
			if !i.Replaced && i.Evidence.Package != "" {
				todo = append(todo, todeposit{i, place})
			}
		}
	}
	return r.depositAll(ctx, todo, r.Before.State.Custody.Held(), by, note)
}

// endStamps waits for the stamps that were asked for.
func (r *Response) endStamps() { r.stamping.Wait() }

// onPaper reports whether the newest run of a record is about its evidence or its review alone, and has
// to leave the rest as it was.
func onPaper(s incident.State) bool {
	if len(s.Resumed) == 0 {
		return false
	}
	why := s.Resumed[len(s.Resumed)-1].For
	return why == incident.ToCustody || why == incident.ToReview
}
