package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/snapshots"
)

// sealedBefore reports whether the record holds a sealed package of a part. The step that took it
// runs again, to see whether it is still what was sealed.
func (r *Response) sealedBefore(s playbooks.Step) bool {
	_, ok := r.recorded(evidencePath(text(s.With["part"])))
	return ok
}

// recorded is what the record of earlier runs says was sealed at a path.
func (r *Response) recorded(path string) (incident.Sealed, bool) {
	if r.Before != nil {
		for _, bag := range r.Before.State.Sealed {
			if bag.Path == path {
				return bag, true
			}
		}
	}
	return incident.Sealed{}, false
}

// standing returns the package of a part that an earlier run sealed, where it is whole and still is
// what the record says; otherwise the path where to capture it anew. A package that was cut short
// stays beside the next one. Everything else that lies in the way is set aside, so that it is
// neither taken for sealed evidence nor lost.
func (r *Response) standing(part string, rec engine.Recorder) (bag incident.Sealed, path string, stands bool, err error) {
	if part != "volatile" && part != "files" && part != snapshots.PartMemory { // a plan that was tampered with must not choose what is moved aside
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
		if broken := checkBag(r.path(path), recorded.Digest); broken != nil {
			err = r.setAside(path, "broken", broken.Error(), rec)
			break
		}
		if !recorded.Early {
			return recorded, path, true, nil
		}
		path = fmt.Sprintf("%s-%d", evidencePath(part), n)
	}
	err = errors.Join(err,
		r.setAside(path, "unrecorded", "the record does not say that it was sealed: an earlier run died between the two", rec),
		r.setAside(path+partialSuffix, "half-written", "an earlier run died while it wrote it", rec),
	)
	return bag, path, false, err
}

// checkBag checks a package against its digest on record.
func checkBag(dir, digest string) error {
	found, err := snapshots.Verify(dir)
	if err != nil {
		return err
	}
	if found.Digest != digest {
		return fmt.Errorf("it agrees with itself, and is not what the record says was sealed (digest %s, recorded %s)", found.Digest, digest)
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
	base := path[:len(path)-len(filepath.Ext(path))]
	for n := 1; n < 1000; n++ {
		aside := fmt.Sprintf("%s.%s-%d", base, what, n)
		if _, err := os.Lstat(r.path(aside)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := r.Disk.Rename(r.path(path), r.path(aside))
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
