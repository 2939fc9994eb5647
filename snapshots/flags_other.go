//go:build !linux

package snapshots

import (
	"io/fs"
	"os"
	"path/filepath"
)

const noAtime = 0

// flush makes everything below dir durable.
func flush(dir *os.File) error {
	return filepath.WalkDir(dir.Name(), func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(name)
	})
}
