package discover

import (
	"io/fs"

	"clawback/forensics/agents/openclaw"
)

// answering is a tree without what did not answer before.
type answering struct {
	fileTree
	root *openclaw.Patient
}

func (a answering) list(dir string) (lister, error) {
	if a.root.Silent(dir) {
		return nil, fs.ErrNotExist // it was reported, and is not waited for again
	}
	return a.fileTree.list(dir)
}

// silence reports the places that did not answer, each once.
func (s *scan) silence() {
	for _, p := range s.root.Problems() {
		s.note(p)
	}
}
