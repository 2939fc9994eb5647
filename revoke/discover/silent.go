package discover

import (
	"errors"
	"io/fs"
	"time"

	"clawback/forensics/agents/openclaw"
)

// patienceOfPlaces is how long a file system may take to answer the search of places: less than that of
// texts would wait, so that it is known there what hangs.
const patienceOfPlaces = 20 * time.Second

// answering is a tree without what does not answer.
type answering struct {
	fileTree
	root *openclaw.Patient
}

func (a answering) list(dir string) (lister, error) {
	l, err := openclaw.Await(a.root, dir, func() (lister, error) { return a.fileTree.list(dir) })
	if errors.Is(err, openclaw.ErrSilent) {
		err = fs.ErrNotExist // the root tells of it, once
	}
	return l, err
}

// silence reports the places that did not answer, each once.
func (s *scan) silence() {
	for _, p := range s.root.Problems() {
		s.note(p)
	}
}
