package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/snapshots"
)

// forms are the suffixes of what can be sealed evidence: a folder was, once.
var forms = []string{snapshots.Suffix, snapshots.LockedSuffix, ""}

// sealedBefore reports whether the record holds a sealed package of a part. The step that took it
// runs again, to see whether it is still what was sealed.
func (r *Response) sealedBefore(s playbooks.Step) bool {
	_, ok := r.recorded(evidencePath(text(s.With["part"])))
	return ok
}

// recorded is what the record of earlier runs says was sealed last at a path, in whatever form.
func (r *Response) recorded(path string) (last incident.Sealed, ok bool) {
	if r.Before != nil {
		for _, bag := range r.Before.State.Sealed {
			if slices.ContainsFunc(forms, func(form string) bool { return bag.Path == path+form }) {
				last, ok = bag, true
			}
		}
	}
	return last, ok
}

// standing returns the package of a part that an earlier run sealed, where it is whole and still is
// what the record says; otherwise the path where to capture it anew. A package that was cut short
// stays beside the next one. Everything else that lies in the way is set aside, so that it is
// neither taken for sealed evidence nor lost.
func (r *Response) standing(part string, rec engine.Recorder) (bag incident.Sealed, path string, stands bool, err error) {
	if part != "volatile" && part != "files" && part != snapshots.PartMemory && !r.ofBroker(part) && !r.ofPods(part) { // a plan that was tampered with must not choose what is moved aside
		return bag, "", false, fmt.Errorf("%.100q: %w", part, snapshots.ErrUnknownPart)
	}
	path = evidencePath(part)
	if r.Before == nil {
		return bag, path, false, nil
	}
	for n := 2; ; n++ {
		recorded, ok := r.recorded(path)
		if !ok {
			break
		}
		if broken := checkBag(r.path(recorded.Path), recorded); broken != nil {
			err = r.setAside(recorded.Path, "broken", broken.Error(), rec)
			break
		}
		if !recorded.Early {
			return recorded, path, true, nil
		}
		path = fmt.Sprintf("%s-%d", evidencePath(part), n)
	}
	for _, form := range forms {
		err = errors.Join(err,
			r.setAside(path+form, "unrecorded", "the record does not say that it was sealed: an earlier run died between the two", rec),
			r.setAside(path+form+partialSuffix, "half-written", "an earlier run died while it wrote it", rec),
			r.setAside(path+form+snapshots.SignatureSuffix, "orphaned", "it signs a package that is gone", rec),
		)
	}
	return bag, path, false, err
}

// checkBag checks a package against its digests on record. Where it is encrypted its file is all that
// can be looked at, and enough.
func checkBag(path string, recorded incident.Sealed) error {
	found, err := snapshots.Check{Digest: recorded.Package}.Verify(path)
	if err != nil {
		return err
	}
	if !found.Closed && found.Digest != recorded.Digest {
		return fmt.Errorf("it agrees with itself, and is not what the record says was sealed (digest %s, recorded %s)", found.Digest, recorded.Digest)
	}
	return nil
}

// partialSuffix is what a package is called while it is written.
const partialSuffix = ".partial"

// setAside gives what lies at a path a name that says what it is. Nothing is deleted.
func (r *Response) setAside(path, what, why string, rec engine.Recorder) error {
	if _, err := os.Lstat(r.path(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	base, _, _ := strings.Cut(filepath.Base(path), ".")
	base = filepath.Join(filepath.Dir(path), base)
	for n := 1; n < 1000; n++ {
		aside := fmt.Sprintf("%s.%s-%d", base, what, n)
		if _, err := os.Lstat(r.path(aside)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := r.Disk.Rename(r.path(path), r.path(aside))
		for _, beside := range []string{snapshots.DigestSuffix, snapshots.SignatureSuffix} {
			if _, there := os.Lstat(r.path(path) + beside); there == nil {
				err = errors.Join(err, r.Disk.Rename(r.path(path)+beside, r.path(aside)+beside))
			}
		}
		if err == nil {
			err = r.Disk.SyncDir(filepath.Dir(r.path(path)))
		}
		if err != nil {
			return fmt.Errorf("set %s aside: %w", path, err)
		}
		rec.Note(incident.TypeWarning, incident.Warning{
			Text: fmt.Sprintf("%s is no evidence and was set aside as %s: %s", path, aside, why),
			Hint: "it is kept as it was found, and captured anew where the host still has it",
		})
		return nil
	}
	return fmt.Errorf("set %s aside: there are a thousand of them", path)
}
