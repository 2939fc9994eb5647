package discover

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"clawback/forensics/agents/openclaw"
)

// access tells whose a file is and who may read it.
func (s *scan) access(at string) string {
	text := s.ownership(at)
	f, err := openclaw.Open(s.root, at)
	if err != nil {
		return text
	}
	defer f.Close()
	err = f.Ask(func(fd int) error {
		n, err := unix.Fgetxattr(fd, "system.posix_acl_access", nil)
		if err != nil || n == 0 {
			return fs.ErrNotExist
		}
		return nil
	})
	if err == nil {
		text += ", with an access control list, which was not read"
	}
	return text
}
