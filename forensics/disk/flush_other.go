//go:build !linux

package disk

import (
	"errors"
	"io/fs"
	"os"
)

// flush makes everything below root durable.
func flush(root *os.Root, _ *os.File) error {
	return fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
