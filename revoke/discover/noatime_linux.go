package discover

import "golang.org/x/sys/unix"

// noAtime leaves a file's access time as it was: it is evidence of when the file was last read.
const noAtime = unix.O_NOATIME
