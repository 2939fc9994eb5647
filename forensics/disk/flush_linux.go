package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// flush makes everything that was written to the file system of dir durable, in one call for
// any number of files. It reports write-back errors of the time since dir was opened.
func flush(_ *os.Root, dir *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd())))
}
