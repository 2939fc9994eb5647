package actions

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// memory is a folder that is in memory.
func memory() (string, error) {
	for _, dir := range []string{"/run/user/" + strconv.Itoa(os.Getuid()), "/dev/shm"} {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC && unix.Access(dir, unix.W_OK) == nil {
			return dir, nil
		}
	}
	return "", errors.New("the desk has no folder in memory (/dev/shm) to read them in")
}
