package inbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine/signers"
)

// Names in the folder of an incident.
const (
	Name        = "inbox"
	RefusedName = "refused" // below Name
	AttachKey   = "keys/attach"
)

// Dropped is a message that lies in an inbox.
type Dropped struct {
	File string // its name there
	Text string // what was signed: the record holds it once it is taken
}

// Drop signs a message and puts it into the inbox of the incident in dir. It fills in what every
// message has: version, incident, record, time and nonce.
func Drop(dir string, m Message, key ssh.Signer) (Dropped, error) {
	return DropOn(disk.OS{}, dir, m, key)
}

// DropOn is Drop on another disk.
func DropOn(on disk.FS, dir string, m Message, key ssh.Signer) (Dropped, error) {
	var err error
	if m.Incident, m.Record, err = identity(dir); err != nil {
		return Dropped{}, err
	}
	file, text, err := Seal(m, key)
	if err != nil {
		return Dropped{}, err
	}
	box := filepath.Join(dir, Name)
	if err := on.Mkdir(box, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return Dropped{}, fmt.Errorf("make the inbox: %w", err)
	}
	name := time.Now().UTC().Format("20060102-150405.000000000") + "-" + random(4) + ".json" // in the order in which they were sent
	if err := place(on, box, name, file); err != nil {
		return Dropped{}, fmt.Errorf("put the message into the inbox: %w", err)
	}
	return Dropped{File: name, Text: text}, nil
}

// Seal signs a message and returns the file of it, and what was signed.
func Seal(m Message, key ssh.Signer) (file []byte, text string, err error) {
	m.V, m.Time, m.Nonce = Version, time.Now().UTC().Round(0), random(16)
	if err := m.check(); err != nil {
		return nil, "", fmt.Errorf("the message: %w", err)
	}
	b, err := encode(m)
	if err != nil {
		return nil, "", err
	}
	sig, err := signers.Sign(key, namespaces[m.Kind], b)
	if err != nil {
		return nil, "", err
	}
	file, err = encode(envelope{V: Version, Message: string(b), Signature: sig})
	if err != nil {
		return nil, "", err
	}
	file = append(file, '\n')
	if len(file) > maxFile {
		return nil, "", fmt.Errorf("the message has %d bytes, more than %d", len(file), maxFile)
	}
	return file, string(b), nil
}

// place gives a file its name once it is whole and durable.
func place(on disk.FS, box, name string, content []byte) error {
	temporary := filepath.Join(box, "."+name)
	f, err := on.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = on.Rename(temporary, filepath.Join(box, name))
	}
	if err != nil {
		return errors.Join(err, on.Remove(temporary))
	}
	return on.SyncDir(box)
}

// identity is what a record is known by.
func identity(dir string) (id, record string, err error) {
	return identityOf(journal.Read(dir))
}

func identityOf(entries iter.Seq2[journal.Entry, error]) (id, record string, err error) {
	for e, err := range entries {
		if err != nil {
			return "", "", err
		}
		if e.Type != incident.TypeDeclared {
			continue // such as a warning that the state directory cannot be used
		}
		var d incident.Declared
		err = e.Decode(&d)
		return d.Incident, e.Hash(), err
	}
	return "", "", errors.New("the record declares no incident")
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
