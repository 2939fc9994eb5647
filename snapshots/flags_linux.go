package snapshots

import (
	"os"

	"golang.org/x/sys/unix"
)

// noAtime leaves a file's access time as it was: it is evidence of when the file was last read.
const noAtime = unix.O_NOATIME

// flush makes everything that was written to the file system of dir durable, in one call for
// any number of files. It reports write-back errors of the time since dir was opened.
func flush(dir *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd())))
}
