package actions

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"

	"clawback/forensics/disk"
	"clawback/revoke/credential"
)

// Names in the keys folder of an incident.
const (
	vaultName    = "secrets.age" // one sealed secret a line
	vaultKeyName = "secrets.key" // the age identity that opens them
)

// vault keeps the secrets of an incident at the desk, sealed, so that a resumed run can revoke and
// probe what it cannot find a second time. It is the only place on any disk that holds a secret.
type vault struct {
	disk disk.FS
	dir  string // the keys folder

	mu   sync.Mutex
	key  *age.X25519Identity
	file disk.File
}

// vaultLine is a line of the vault.
type vaultLine struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Sealed      []byte                 `json:"sealed"`
}

// maxVaultLine bounds a line: the largest sealed secret, in base64, and its fingerprint.
const maxVaultLine = 8 << 20

// keep seals secrets. They are durable when it returns nil.
func (v *vault) keep(cs ...credential.Credential) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.open()
	var lines []byte
	for _, c := range cs {
		if err != nil {
			break
		}
		lines, err = v.seal(lines, c)
	}
	if err == nil {
		_, err = v.file.Write(lines)
	}
	if err == nil {
		err = v.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("keep the secret of %s for a later run: %w", among(cs), err)
	}
	return nil
}

// among names credentials in a line.
func among(cs []credential.Credential) string {
	if len(cs) == 1 {
		return cs[0].String()
	}
	return fmt.Sprintf("%s and %d more", cs[0], len(cs)-1)
}

// seal appends the line of a secret.
func (v *vault) seal(lines []byte, c credential.Credential) ([]byte, error) {
	sealed, err := credential.Seal(c.Secret, v.key.Recipient())
	if err != nil {
		return lines, err
	}
	line, err := json.Marshal(vaultLine{c.Fingerprint, sealed})
	if err != nil {
		return lines, err
	}
	// The newline comes first: what a crash or a full disk left of another line ends before this one.
	return append(append(append(lines, '\n'), line...), '\n'), nil
}

// open makes sure that there is a key, and a file whose name is durable.
func (v *vault) open() error {
	if v.file != nil {
		return nil
	}
	key, err := v.loadKey()
	if errors.Is(err, errNoKey) {
		key, err = v.makeKey()
	}
	if err != nil {
		return err
	}
	f, err := v.disk.OpenFile(filepath.Join(v.dir, vaultName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := v.disk.SyncDir(v.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	v.key, v.file = key, f
	return nil
}

// errNoKey means that there is no key, or none that ever opened anything.
var errNoKey = errors.New("there is no key of the kept secrets")

func (v *vault) loadKey() (*age.X25519Identity, error) {
	f, err := disk.OpenRegular(filepath.Join(v.dir, vaultKeyName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, err
	}
	key, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, errNoKey // the error may quote what is there
	}
	return key, nil
}

func (v *vault) makeKey() (*age.X25519Identity, error) {
	key, err := age.GenerateX25519Identity()
	if err == nil {
		err = disk.MkdirAll(v.disk, v.dir, 0o700)
	}
	if err == nil {
		err = disk.Replace(v.disk, filepath.Join(v.dir, vaultKeyName), []byte(key.String()+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// load opens all that was kept. What cannot be opened is left out.
func (v *vault) load() (map[credential.Fingerprint]credential.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f, err := disk.OpenRegular(filepath.Join(v.dir, vaultName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the kept secrets: %w", err)
	}
	defer func() { _ = f.Close() }()
	key, err := v.loadKey()
	if err != nil {
		return nil, fmt.Errorf("open the kept secrets: %w", err)
	}
	kept := make(map[credential.Fingerprint]credential.Secret)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxVaultLine)
	for lines.Scan() {
		var line vaultLine
		if len(bytes.TrimSpace(lines.Bytes())) == 0 || json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // torn: nothing on record names it
		}
		if s, err := credential.Unseal(line.Sealed, key); err == nil {
			kept[line.Fingerprint] = s
		}
	}
	if err := lines.Err(); err != nil {
		return kept, fmt.Errorf("open the kept secrets: %w", err)
	}
	return kept, nil
}

// there reports whether anything is kept, or a key of it.
func (v *vault) there() (bool, error) {
	for _, name := range []string{vaultName, vaultKeyName} {
		_, err := os.Lstat(filepath.Join(v.dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// wipe removes everything that was kept, the key first: without it the rest is noise.
func (v *vault) wipe() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file != nil {
		_ = v.file.Close()
		v.file, v.key = nil, nil
	}
	removed := false
	for _, name := range []string{vaultKeyName, vaultName} {
		err := v.disk.Remove(filepath.Join(v.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("wipe the kept secrets: %w", err)
		}
		removed = removed || err == nil
	}
	if !removed {
		return nil
	}
	if err := v.disk.SyncDir(v.dir); err != nil {
		return fmt.Errorf("wipe the kept secrets: %w", err)
	}
	return nil
}

// close leaves what is kept.
func (v *vault) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file != nil {
		_ = v.file.Close()
		v.file, v.key = nil, nil
	}
}
