package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// LockName is the lock's name in the folder of its incident.
const LockName = "lock"

// Holder is who holds a lock.
type Holder struct {
	Who   string    `json:"who"`
	Desk  string    `json:"desk"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// LockedError means that somebody else holds the lock.
type LockedError struct {
	Path   string
	Holder Holder // zero when they have not said yet
}

func (e *LockedError) Error() string {
	if e.Holder.Who == "" {
		return "locked by another responder: " + e.Path
	}
	return fmt.Sprintf("locked by %s on %s (pid %d) since %s", e.Holder.Who, e.Holder.Desk, e.Holder.PID, e.Holder.Since.Format(time.RFC3339))
}

// Lock takes the lock at path for holder. It is given back when the file is closed or the process dies.
func Lock(path string, holder Holder) (*os.File, error) {
	// Not through a link: what it led to would be overwritten.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take the lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		locked := &LockedError{Path: path}
		b, _ := io.ReadAll(io.LimitReader(f, 4096))
		_ = json.Unmarshal(b, &locked.Holder)
		_ = f.Close()
		return nil, locked
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("take the lock %s: %w", path, err)
	}
	// Who holds it is a courtesy, which a full disk may refuse: the lock holds all the same.
	if f.Truncate(0) == nil {
		_ = json.NewEncoder(f).Encode(holder)
	}
	return f, nil
}

// lockSoon takes a lock that those who follow the record may hold for a moment, to see whether it is free.
func lockSoon(path string, holder Holder) (*os.File, error) {
	const tries, pause = 20, 50 * time.Millisecond
	for n := 1; ; n++ {
		f, err := Lock(path, holder)
		var locked *LockedError
		if n == tries || !errors.As(err, &locked) {
			return f, err
		}
		time.Sleep(pause)
	}
}

// free says whether nobody holds the lock at path. It takes it for a moment, together with all who ask.
func free(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for the lock: %w", err)
	}
	defer func() { _ = f.Close() }()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for the lock %s: %w", path, err)
	}
	return true, nil
}
