package discover

import (
	"io/fs"
	"syscall"
	"testing"
)

// A process that ends while it is looked at left nothing to read. What refuses to be read did.
func TestAnEndedProcessIsNoProblem(t *testing.T) {
	s := &scan{}
	for _, gone := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.ESRCH} {
		s.problem("proc/7/environ", &fs.PathError{Op: "read", Path: "proc/7/environ", Err: gone})
	}
	if len(s.summary.Problems) > 0 {
		t.Errorf("%+v", s.summary.Problems)
	}
	if s.problem("proc/8/environ", &fs.PathError{Op: "read", Path: "proc/8/environ", Err: syscall.EACCES}); len(s.summary.Problems) != 1 {
		t.Errorf("%+v", s.summary.Problems)
	}
}
