package openclaw

import "syscall"

// noAtime leaves a file's access time as it was: it is evidence of when the file was last read.
const noAtime = syscall.O_NOATIME
