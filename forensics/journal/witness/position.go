package witness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"clawback/forensics/disk"
)

// Folder is where an incident keeps how far each sink is, by the sink's name.
const Folder = "witness"

// standing is what a sink was given so far.
type standing struct {
	Held       uint64    `json:"held"`       // up to this entry
	Hash       string    `json:"hash"`       // of that entry
	Checkpoint uint64    `json:"checkpoint"` // size of the newest one
	Since      time.Time `json:"since,omitzero"`
}

// position keeps a standing in the folder of the incident. With no folder it keeps nothing.
type position struct {
	fsys disk.FS
	path string
}

func positionOf(fsys disk.FS, dir, name string) position {
	if dir == "" {
		return position{}
	}
	return position{fsys, filepath.Join(dir, Folder, name+".json")}
}

const maxPosition = 4096

func (p position) load() (standing, error) {
	var s standing
	if p.path == "" {
		return s, nil
	}
	f, err := disk.OpenRegular(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		defer func() { _ = f.Close() }()
		err = json.NewDecoder(io.LimitReader(f, maxPosition)).Decode(&s)
	}
	if err != nil {
		return standing{}, fmt.Errorf("read how far it is: %w", err)
	}
	return s, nil
}

func (p position) save(s standing) error {
	if p.path == "" {
		return nil
	}
	b, err := json.Marshal(s)
	if err == nil {
		err = disk.MkdirAll(p.fsys, filepath.Dir(p.path), 0o700)
	}
	if err == nil {
		err = disk.Replace(p.fsys, p.path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep how far it is: %w", err)
	}
	return nil
}

// oneLine is an error for a table or an entry: what a server answered may stand in it.
func oneLine(err error) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, err.Error())
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
