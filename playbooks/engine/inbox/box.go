package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/signers"
)

// How an inbox is read.
const (
	pause      = 200 * time.Millisecond
	maxListed  = 4096 // names looked at in one go
	maxTaken   = 64   // messages taken in one go
	maxRefused = 1000 // refusals on record, each run; what comes after is set aside without one
)

// Box takes the messages of one incident in. It is an engine.Inbox.
type Box struct {
	Dir     string          // of the incident
	Signers signers.Signers // whose approvals and notes are taken
	Own     ssh.PublicKey   // the incident's own key: whoever has it is the responder; nil for none
	Clock   engine.Clock    // by which people live, and keys are valid
	Disk    disk.FS

	id, record string
	left       map[string]bool // names that stay where they are: on record in memory alone, or not to be moved
	refused    int
}

var nameForm = regexp.MustCompile(`\A[0-9A-Za-z][0-9A-Za-z._-]{0,120}\.json\z`)

// Serve takes messages in until ctx is done, and then once more: what lies there is not lost.
func (b *Box) Serve(ctx context.Context, e *engine.Engine) {
	always := context.WithoutCancel(ctx)
	b.left = make(map[string]bool)
	var err error
	if b.id, b.record, err = identityOf(e.Journal.Entries(always)); err != nil {
		_ = e.Journal.Note(incident.TypeWarning, incident.Warning{Text: "nothing is taken from the inbox: " + err.Error()})
		return
	}
	for ctx.Err() == nil {
		b.sweep(always, e)
		_ = b.Clock.Sleep(ctx, pause)
	}
	b.sweep(always, e)
}

// sweep takes in what lies in the inbox now, in the order of the names.
func (b *Box) sweep(ctx context.Context, e *engine.Engine) {
	for _, name := range b.list() {
		err := b.take(ctx, e, name)
		var refusal refusedError
		switch {
		case err == nil:
			if b.Disk.Remove(b.path(name)) != nil {
				b.left[name] = true
			}
		case errors.As(err, &refusal):
			b.refuse(ctx, e, name, refusal)
		case !errors.Is(err, fs.ErrNotExist): // on record in memory alone, or not to be read
			b.left[name] = true
		}
	}
}

func (b *Box) path(name string) string { return filepath.Join(b.Dir, Name, name) }

func (b *Box) list() []string {
	dir, err := os.OpenFile(filepath.Join(b.Dir, Name), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(maxListed)
	names = slices.DeleteFunc(names, func(n string) bool {
		return strings.HasPrefix(n, ".") || n == RefusedName || b.left[n] // not there yet, or done with
	})
	slices.Sort(names)
	return names[:min(len(names), maxTaken)]
}

// refusedError is why a message is not taken.
type refusedError struct{ error }

func (r refusedError) Unwrap() error { return r.error }

// take records one message and gives it its effect. Without an error it is done with.
func (b *Box) take(ctx context.Context, e *engine.Engine, name string) error {
	if !nameForm.MatchString(name) {
		return refusedError{errors.New("that is no name of a message")}
	}
	src, err := read(b.path(name))
	if err != nil {
		return err
	}
	m, err := Parse(src)
	if err == nil {
		err = b.allow(m)
	}
	if err != nil {
		return refusedError{err}
	}
	if e.Seen(m.Text) {
		return nil
	}
	switch err := e.Deliver(ctx, m.command()); {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrNotDurable):
		return err
	default:
		return refusedError{err}
	}
}

// read reads a regular file of bounded size, follows no link and waits for nothing.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO): // a link; a socket
		return nil, refusedError{errors.New("it is not a regular file")}
	case err != nil:
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, refusedError{errors.New("it is not a regular file")}
	case info.Size() > maxFile:
		return nil, refusedError{fmt.Errorf("it has more than %d bytes", maxFile)}
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// allow reports whether the message is for this record, and its key may say what it says.
func (b *Box) allow(m Signed) error {
	if m.Incident != b.id || m.Record != b.record {
		return errors.New("it is for another incident")
	}
	own := b.Own != nil && string(b.Own.Marshal()) == string(m.Key.Marshal())
	switch m.Kind {
	case KindApproval:
		if own {
			return errors.New("the incident's own key approves nothing: it is the responder's")
		}
		return b.Signers.Allow(m.As, m.Key, signers.Approvals, b.Clock.Now())
	case KindNote:
		if own {
			return nil
		}
		return b.Signers.Allow(m.As, m.Key, signers.Notes, b.Clock.Now())
	}
	if !own {
		return errors.New("only the incident's own key commands: clawback attach uses it")
	}
	return nil
}

// command is what a message asks of the engine.
func (m Signed) command() engine.Command {
	print := ssh.FingerprintSHA256(m.Key)
	by := incident.Signed{Key: print, Message: m.Text, Signature: m.Signature}
	switch {
	case m.Approval != nil:
		return engine.Command{Approval: &incident.Approved{
			Step: m.Approval.Step, By: m.As, Key: print, Binds: m.Approval.Binds, Plan: m.Approval.Plan, Message: m.Text, Signature: m.Signature,
		}}
	case m.Note != nil:
		return engine.Command{Note: &incident.Note{Text: m.Note.Text, By: m.As, Signed: &by}}
	case m.Answer != nil:
		return engine.Command{Answer: &incident.Answer{
			Question: m.Answer.Question, Choice: m.Answer.Choice, Text: m.Answer.Text, By: m.As, Signed: &by,
		}}
	case m.Terminal != nil:
		return engine.Command{Terminal: &incident.Terminal{State: m.Terminal.State, By: m.As, Signed: &by}}
	}
	c := &incident.Command{
		Kind: m.Command.Kind, Credential: m.Command.Credential, Step: m.Command.Step, Text: m.Command.Text, By: m.As, Signed: &by,
	}
	switch c.Kind {
	case incident.Break, incident.LeaveOut:
		return engine.Command{Step: c}
	case incident.Interrupt:
		return engine.Command{Interrupt: c}
	}
	return engine.Command{Credential: c}
}

// refuse records why a message is not taken, and then sets it aside.
func (b *Box) refuse(ctx context.Context, e *engine.Engine, name string, why error) {
	b.refused++
	if b.refused <= maxRefused {
		text := incident.Cut(why.Error(), 1024)
		if b.refused == maxRefused {
			text += "; further ones are set aside without a word"
		}
		if err := e.Refuse(ctx, incident.InboxRefused{File: incident.Cut(name, 256), Why: text}); err != nil {
			b.left[name] = true
			return
		}
	}
	aside := b.path(RefusedName)
	err := b.Disk.Mkdir(aside, 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = b.Disk.Rename(b.path(name), filepath.Join(aside, name))
	}
	if err != nil {
		b.left[name] = true
	}
}
