package discover

import (
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
	if n, err := unix.Fgetxattr(int(f.Fd()), "system.posix_acl_access", nil); err == nil && n > 0 {
		text += ", with an access control list, which was not read"
	}
	return text
}
