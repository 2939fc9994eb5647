// Package inbox is how other terminals speak to a response: signed messages, one file each, in
// the incident's folder. Whatever lies there was written by somebody else.
package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/signers"
	"clawback/revoke/credential"
)

// Version is the version of the message format.
const Version = 1

// Bounds of a message, in bytes.
const (
	maxFile = 64 << 10
	maxText = 8 << 10
	maxWord = 256
)

// Kinds of a message.
const (
	KindApproval = "approval"
	KindNote     = "note"
	KindAnswer   = "answer"
	KindCommand  = "command"
	KindTerminal = "terminal"
)

// namespaces say what a signature of each kind is made for.
var namespaces = map[string]string{
	KindApproval: signers.Approvals, KindNote: signers.Notes,
	KindAnswer: signers.Commands, KindCommand: signers.Commands, KindTerminal: signers.Commands,
}

// Message is what somebody signs. Its JSON has one form: compact, the keys in the order of the
// fields below, none twice and none empty, no character escaped that JSON lets stand. Of the last
// fields it has the one that its kind names. Time is the sender's claim.
type Message struct {
	V        int       `json:"v"`
	Kind     string    `json:"kind"`
	Incident string    `json:"incident,omitempty"` // its id; none in what is approved beforehand
	Record   string    `json:"record,omitempty"`   // SHA-256 of the line that declares the incident, in hex: the id alone may stand elsewhere too
	Time     time.Time `json:"time"`               // UTC
	Nonce    string    `json:"nonce"`              // 16 random bytes in hex: the same words twice are two messages
	As       string    `json:"as"`                 // principal in the list of allowed signers; with the incident's own key, who says it is

	Approval *Approval `json:"approval,omitempty"`
	Note     *Note     `json:"note,omitempty"`
	Answer   *Answer   `json:"answer,omitempty"`
	Command  *Command  `json:"command,omitempty"`
	Terminal *Terminal `json:"terminal,omitempty"`
}

// Approval approves one step of one plan.
type Approval struct {
	Step  string `json:"step"`
	Binds string `json:"binds"`          // incident.Binds of Record, or of Plan
	Plan  string `json:"plan,omitempty"` // SHA-256 of the plan file that is approved beforehand, in hex
}

// Note is put on record.
type Note struct {
	Text string `json:"text"`
}

// Answer answers a question.
type Answer struct {
	Question string `json:"question"`
	Choice   string `json:"choice"`
	Text     string `json:"text,omitempty"`
}

// Command is one of the kinds of incident.Command.
type Command struct {
	Kind       string                 `json:"kind"`
	Credential credential.Fingerprint `json:"credential,omitempty"`
	Step       string                 `json:"step,omitempty"`
	Text       string                 `json:"text,omitempty"`
}

// Terminal says that somebody sees the response from now on, or no longer.
type Terminal struct {
	State string `json:"state"` // "attached", "detached"
}

// envelope is the file of a message: what was signed, as one string, and its signature.
type envelope struct {
	V         int    `json:"v"`
	Message   string `json:"message"`
	Signature string `json:"signature"` // armored, as ssh-keygen -Y sign writes it
}

// Of makes the message of a command by somebody. A command that was signed before has none.
func Of(c engine.Command, by string) (Message, error) {
	m := Message{As: by}
	switch {
	case c.Add != nil:
		return m, errors.New("a credential is added only where the response runs: its value must not be written into the inbox")
	case c.Answer != nil:
		m.Kind, m.Answer = KindAnswer, &Answer{c.Answer.Question, c.Answer.Choice, c.Answer.Text}
	case c.Note != nil:
		m.Kind, m.Note = KindNote, &Note{c.Note.Text}
	case c.Terminal != nil:
		m.Kind, m.Terminal = KindTerminal, &Terminal{c.Terminal.State}
	default:
		for _, about := range []*incident.Command{c.Credential, c.Step, c.Interrupt} {
			if about != nil {
				m.Kind, m.Command = KindCommand, &Command{about.Kind, about.Credential, about.Step, about.Text}
			}
		}
	}
	if m.Kind == "" {
		return m, errors.New("that cannot be asked from another terminal")
	}
	return m, nil
}

// encode writes a message or an envelope down in its one form.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write a message down: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads what encode wrote, and nothing else: no other keys, none twice, no other order.
func decode(src []byte, v any) error {
	if err := json.Unmarshal(src, v); err != nil {
		return errors.New("it is not JSON of a message")
	}
	again, err := encode(v)
	if err != nil || !bytes.Equal(again, src) {
		return errors.New("it is not written down as messages are: a key is unknown, stands twice or in another order, or there is space between")
	}
	return nil
}

// Signed is a message whose signature holds. Whether its key may say this is another question.
type Signed struct {
	Message
	Key       ssh.PublicKey
	Text      string // what was signed
	Signature string
}

// Parse reads the file of a message and checks its form and its signature.
func Parse(src []byte) (Signed, error) {
	var s Signed
	var e envelope
	if len(src) > maxFile {
		return s, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	if err := decode(bytes.TrimSuffix(src, []byte("\n")), &e); err != nil {
		return s, err
	}
	if e.V != Version {
		return s, fmt.Errorf("it has version %d, and this program reads %d", e.V, Version)
	}
	s.Text, s.Signature = e.Message, e.Signature
	if err := decode([]byte(e.Message), &s.Message); err != nil {
		return s, fmt.Errorf("the message in it: %w", err)
	}
	err := s.check()
	if err == nil {
		s.Key, err = signers.Verify([]byte(e.Message), e.Signature, namespaces[s.Kind])
	}
	return s, err
}

var (
	digest = regexp.MustCompile(`\A[0-9a-f]{64}\z`)
	nonce  = regexp.MustCompile(`\A[0-9a-f]{32}\z`)
)

// check checks what a message says in itself.
func (m Message) check() error {
	bodies := map[string]bool{
		KindApproval: m.Approval != nil, KindNote: m.Note != nil, KindAnswer: m.Answer != nil,
		KindCommand: m.Command != nil, KindTerminal: m.Terminal != nil,
	}
	for kind, there := range bodies {
		if there != (kind == m.Kind) {
			return fmt.Errorf("a message of kind %.40q has no %s", m.Kind, kind)
		}
	}
	beforehand := m.Approval != nil && m.Approval.Plan != ""
	switch {
	case m.V != Version:
		return fmt.Errorf("it has version %d, and this program reads %d", m.V, Version)
	case namespaces[m.Kind] == "":
		return fmt.Errorf("there is no kind %.40q of message", m.Kind)
	case m.Time.IsZero() || m.Time.Location() != time.UTC:
		return errors.New("it has no time in UTC")
	case !nonce.MatchString(m.Nonce):
		return errors.New("it has no nonce of 16 bytes")
	case beforehand && (m.Incident != "" || m.Record != ""):
		return errors.New("it names both an incident and a plan file")
	case !beforehand && (m.Incident == "" || len(m.Incident) > maxWord || !digest.MatchString(m.Record)):
		return errors.New("it does not say of which record it is")
	case m.Approval != nil && (!digest.MatchString(m.Approval.Binds) || beforehand && !digest.MatchString(m.Approval.Plan)):
		return errors.New("it names no digest")
	}
	if err := signers.CheckName(m.As); err != nil {
		return err
	}
	return m.checkTexts()
}

func (m Message) checkTexts() error {
	var words, texts []string
	switch {
	case m.Approval != nil:
		words = []string{m.Approval.Step}
	case m.Note != nil:
		texts = []string{m.Note.Text}
	case m.Answer != nil:
		words, texts = []string{m.Answer.Question, m.Answer.Choice}, []string{m.Answer.Text}
	case m.Command != nil:
		words, texts = []string{m.Command.Kind, m.Command.Step, string(m.Command.Credential)}, []string{m.Command.Text}
	case m.Terminal != nil && m.Terminal.State != "attached" && m.Terminal.State != "detached":
		return fmt.Errorf("a terminal is attached or detached, not %.40q", m.Terminal.State)
	}
	for _, w := range words {
		if len(w) > maxWord {
			return fmt.Errorf("a name in it has more than %d bytes", maxWord)
		}
	}
	for _, t := range texts {
		if len(t) > maxText {
			return fmt.Errorf("its text has more than %d bytes", maxText)
		}
	}
	return nil
}
