package journal

import "path/filepath"

// Held reports whether a process holds the record in dir, and so may write to it.
func Held(dir string) (bool, error) {
	over, err := free(filepath.Join(dir, LockName))
	return err == nil && !over, err
}
