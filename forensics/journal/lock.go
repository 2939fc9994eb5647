package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
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
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		err = json.NewEncoder(f).Encode(holder)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("take the lock %s: %w", path, err)
	}
	return f, nil
}
