package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"clawback/forensics/disk"
)

// PayloadFolder is where payloads are, in the folder of their incident: SHA256.json each.
const PayloadFolder = "payloads"

// MaxPayload bounds a payload.
const MaxPayload = 16 << 20

// Payload names data that is too long for a line. It stands in a file of its own, written down in
// the same one way as in a line, and durable before its entry is.
type Payload struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// name is the payload's path in the folder of its incident, with slashes.
func (p Payload) name() string { return PayloadFolder + "/" + p.SHA256 + ".json" }

// valid says whether a payload can be what p says. Its digest becomes a file's name.
func (p Payload) valid() bool {
	sum, err := hex.DecodeString(p.SHA256)
	return err == nil && len(sum) == sha256.Size && hex.EncodeToString(sum) == p.SHA256 && p.Bytes > 0 && p.Bytes <= MaxPayload
}

// check says whether b is the payload. What can be read in two ways is none, whatever its digest.
func (p Payload) check(b []byte) error {
	if int64(len(b)) != p.Bytes || hashLine(b) != p.SHA256 {
		return fmt.Errorf("it is not what the entry names: %d bytes, SHA-256 %s", len(b), hashLine(b))
	}
	same, err := json.Marshal(json.RawMessage(b))
	if err != nil {
		return err
	}
	if !bytes.Equal(same, b) {
		return errors.New("it is not written down as this program writes it")
	}
	return checkKeys(b, 1)
}

// loader knows where payloads are. What it returns is not checked yet.
type loader interface {
	load(p Payload) ([]byte, error)
}

// payloads keeps payloads. What is saved is durable once save returns.
type payloads interface {
	loader
	save(p Payload, b []byte) error
}

// payloadFolder keeps payloads beside the record in dir.
type payloadFolder struct {
	fs   disk.FS // nil where nothing is saved
	dir  string
	made bool // the folder is there, and durably
}

func (f *payloadFolder) save(p Payload, b []byte) error {
	if !f.made {
		err := f.fs.Mkdir(filepath.Join(f.dir, PayloadFolder), 0o700)
		if err == nil || errors.Is(err, fs.ErrExist) {
			err = f.fs.SyncDir(f.dir)
		}
		if err != nil {
			return err
		}
		f.made = true
	}
	return disk.Replace(f.fs, filepath.Join(f.dir, p.name()), b, 0o600)
}

func (f *payloadFolder) load(p Payload) ([]byte, error) {
	file, err := disk.OpenRegular(filepath.Join(f.dir, p.name()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != p.Bytes {
		return nil, fmt.Errorf("it is not what the entry names: %d bytes", info.Size())
	}
	return io.ReadAll(io.LimitReader(file, p.Bytes+1))
}

// CopyPayload puts the entry's payload, if it has one, beside the copy of a record in the folder to.
func (e Entry) CopyPayload(to string) error {
	if e.Payload == nil {
		return nil
	}
	b, err := e.Content()
	if err == nil {
		err = (&payloadFolder{fs: disk.OS{}, dir: to}).save(*e.Payload, b)
	}
	if err != nil {
		return fmt.Errorf("copy the payload of entry %d: %w", e.Seq, err)
	}
	return nil
}

// payloadMemory keeps payloads in memory.
type payloadMemory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (m *payloadMemory) save(p Payload, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string][]byte{}
	}
	m.m[p.SHA256] = b
	return nil
}

func (m *payloadMemory) load(p Payload) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.m[p.SHA256]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(b), nil
}
