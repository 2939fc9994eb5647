package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"
)

// Syslog sends each line of the record as one RFC 5424 message over TLS, framed by octet counting
// (RFC 5425), and each checkpoint as one more:
//
//	<109>1 2026-11-22T02:17:00.001Z bastion clawback 4711 entry [clawback@32473 incident="INC-1" seq="7"] {"v":1,…}
//	<109>1 2026-11-22T02:17:09.230Z bastion clawback 4711 checkpoint [clawback@32473 incident="INC-1" size="7"] clawback/INC-1\n7\n…
//
// The newlines of a checkpoint stand in it as \n, since receivers keep a message as one line. A
// text that would make a message longer than the receiver takes is cut into parts between
// characters: each says part, parts and the SHA-256 of the whole, and the texts of all parts joined
// in order are the whole.
//
// Syslog has no acknowledgement. A delivery has a connection of its own, and counts as sent when
// the receiver, told that it is over, ends it in order: its system has then passed on all of it.
// Whether the receiver kept it, nobody says.
type Syslog struct {
	address string
	config  *tls.Config
	host    string
	process int
	most    int
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// Bounds of a syslog message in bytes. A receiver has to take 2,048 and should take 8,192
// (https://www.rfc-editor.org/rfc/rfc5425#section-4.3.1); rsyslog, as it comes, cuts after 8,096.
const (
	MinMessage     = 1024
	DefaultMessage = 8000
	MaxMessage     = 1 << 20
)

const (
	priority = 13*8 + 5 // log audit, notice: https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1
	// dataID has the number that is kept for examples (RFC 5612): clawback has none of its own.
	dataID = "clawback@32473"
)

// SyslogOptions say how a receiver is reached.
type SyslogOptions struct {
	Address string            // "siem.example.com:6514"
	Roots   *x509.CertPool    // nil for those of the system
	Client  []tls.Certificate // none, or the desk's own
	Message int               // longest message in bytes; 0 for DefaultMessage
	Host    string            // the desk's name
	Process int
}

// NewSyslog checks the options. There is no way to leave out the check of the receiver's certificate.
func NewSyslog(o SyslogOptions) (*Syslog, error) {
	name, port, err := net.SplitHostPort(o.Address)
	if err != nil || name == "" || port == "" {
		return nil, fmt.Errorf("address %q is not HOST:PORT", o.Address)
	}
	if o.Message == 0 {
		o.Message = DefaultMessage
	}
	if o.Message < MinMessage || o.Message > MaxMessage {
		return nil, fmt.Errorf("max_message %d does not lie between %d and %d", o.Message, MinMessage, MaxMessage)
	}
	return &Syslog{
		address: o.Address, host: headerField(o.Host, 255), process: o.Process, most: o.Message,
		config: &tls.Config{ServerName: name, RootCAs: o.Roots, Certificates: o.Client, MinVersion: tls.VersionTLS12},
		dial:   (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
	}, nil
}

// Kind is "syslog".
func (*Syslog) Kind() string { return "syslog" }

// Send returns nil once the receiver has ended a connection on which all of it was sent.
func (s *Syslog) Send(ctx context.Context, d Delivery) error {
	var out bytes.Buffer
	for _, e := range d.Entries {
		s.messages(&out, message{at: e.Time, id: "entry", incident: d.Incident, count: "seq", number: e.Seq, text: string(e.Line())})
	}
	if d.Checkpoint != nil {
		note := strings.ReplaceAll(string(d.Checkpoint), "\n", `\n`)
		s.messages(&out, message{at: time.Now(), id: "checkpoint", incident: d.Incident, count: "size", number: d.Size, text: note})
	}
	err := s.send(ctx, out.Bytes())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

func (s *Syslog) send(ctx context.Context, frames []byte) (err error) {
	raw, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	conn := tls.Client(raw, s.config)
	defer func() { _ = raw.Close() }()
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	if _, err := conn.Write(frames); err != nil {
		return err
	}
	return hungUp(conn, raw)
}

// hungUp tells the receiver that this was all, and waits until it ends the connection as well: it
// has to answer a close_notify (https://www.rfc-editor.org/rfc/rfc5425#section-4.4). A system that
// ends a connection before its program read all of it says so with a reset, below TLS.
func hungUp(conn *tls.Conn, raw net.Conn) error {
	err := conn.CloseWrite()
	if half, ok := raw.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite()
	}
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(conn, 4096))
	if err == nil && n == 0 {
		n, err = io.Copy(io.Discard, io.LimitReader(raw, 4096))
	}
	switch {
	case err != nil:
		return fmt.Errorf("it did not say that it read everything: %w", err)
	case n > 0:
		return errors.New("it answered, which a syslog receiver does not")
	}
	return nil
}

// message is one message before it is cut into parts.
type message struct {
	at       time.Time
	id       string
	incident string
	count    string // what number counts
	number   uint64
	text     string
}

// messages appends the frames of m: one, or as many as the longest message asks for.
func (s *Syslog) messages(out *bytes.Buffer, m message) {
	head := fmt.Sprintf("<%d>1 %s %s clawback %d %s [%s incident=\"%s\" %s=\"%d\"", priority,
		m.at.UTC().Format("2006-01-02T15:04:05.999999Z"), s.host, s.process, m.id, dataID, parameter(m.incident), m.count, m.number)
	if whole := head + "] " + m.text; len(whole) <= s.most {
		frame(out, whole)
		return
	}
	// The longest that the rest of the head can be, so that the count of parts changes no size.
	head += fmt.Sprintf(" sha256=\"%x\"", sha256.Sum256([]byte(m.text)))
	room := max(s.most-len(head)-len(` part="9999999" parts="9999999"] `), utf8.UTFMax)
	parts := cut(m.text, room)
	for i, part := range parts {
		frame(out, fmt.Sprintf("%s part=\"%d\" parts=\"%d\"] %s", head, i+1, len(parts), part))
	}
}

// cut cuts text into pieces of at most room bytes, never within a character.
func cut(text string, room int) []string {
	var parts []string
	for len(text) > room {
		n := room
		for n > room-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		parts = append(parts, text[:n])
		text = text[n:]
	}
	return append(parts, text)
}

func frame(out *bytes.Buffer, text string) { fmt.Fprintf(out, "%d %s", len(text), text) }

// parameter is the value of a structured data parameter: https://www.rfc-editor.org/rfc/rfc5424#section-6.3.3
func parameter(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(strings.ToValidUTF8(value, ""))
}

// headerField is printable ASCII without blanks, or "-" for nothing.
func headerField(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}
