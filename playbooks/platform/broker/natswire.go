package broker

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// natsWire speaks the protocol of NATS on one connection, one request at a time.
// https://docs.nats.io/reference/reference-protocols/nats-protocol
type natsWire struct {
	conn    net.Conn
	in      *bufio.Reader
	version string // that the server says it has
	inbox   string // where answers come to
	asked   int
	room    int // bytes that the answers under way may still have
}

// natsInfo is what a server says first of itself.
type natsInfo struct {
	Version string `json:"version"`
	TLS     bool   `json:"tls_required"`
	CanTLS  bool   `json:"tls_available"`
}

const maxNatsLine = 64 << 10

var (
	errNotNATS = errors.New("what answers does not speak the protocol of NATS")
	// errNobody means that nobody listens to what was asked.
	errNobody = errors.New("nobody answers there: JetStream may be off for this account")
)

// natsInbox is a subject that answers come to: unguessable, for others of the account could send there.
func natsInbox(random string) string { return "_INBOX.clawback" + random }

// dialNATS connects and logs in. Nothing secret is sent before TLS, unless the place has none.
func dialNATS(ctx context.Context, p Place, access Access, random string) (*natsWire, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, min(maxConnecting, askWait))
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return nil, err
	}
	c := &natsWire{conn: conn, in: bufio.NewReaderSize(conn, maxNatsLine), inbox: natsInbox(random)}
	if err := c.login(ctx, p, access); err != nil {
		_ = c.conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *natsWire) login(ctx context.Context, p Place, access Access) error {
	done, err := c.begin(ctx, askWait)
	if err != nil {
		return err
	}
	defer done()
	text, err := c.line()
	var info natsInfo
	if err != nil {
		return ended(ctx, err)
	}
	if about, ok := strings.CutPrefix(text, "INFO "); !ok || json.Unmarshal([]byte(about), &info) != nil {
		return errNotNATS
	}
	c.version = info.Version
	if !p.Plain {
		if err := c.secure(ctx, p, info); err != nil {
			return err
		}
	}
	hello, err := json.Marshal(map[string]any{"user": access.User, "pass": access.Password, "name": "clawback", "lang": "go", "version": "1",
		"verbose": false, "pedantic": false, "protocol": 1, "headers": true, "no_responders": true, "tls_required": !p.Plain})
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(c.conn, "CONNECT %s\r\nSUB %s.* 1\r\nPING\r\n", hello, c.inbox); err != nil {
		return ended(ctx, err)
	}
	for {
		text, err := c.line()
		if err != nil {
			return ended(ctx, err)
		}
		if text == "PONG" {
			return nil
		}
		if err := c.aside(text); err != nil {
			return err
		}
	}
}

// secure begins TLS after the server's first line. What somebody put behind that line is not taken
// into the connection that is trusted.
func (c *natsWire) secure(ctx context.Context, p Place, info natsInfo) error {
	if !info.TLS && !info.CanTLS {
		return errors.New("the server has no TLS, and secrets are not sent in the clear")
	}
	if c.in.Buffered() > 0 {
		return errNotNATS
	}
	conn := tls.Client(c.conn, p.tls())
	if err := conn.HandshakeContext(ctx); err != nil {
		return ended(ctx, err)
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, maxNatsLine)
	return nil
}

// ended prefers why a context ended to what came of it.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// begin bounds what follows, until done is called.
func (c *natsWire) begin(ctx context.Context, wait time.Duration) (done func(), err error) {
	c.room = maxAnswer
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = conn.SetDeadline(time.Now().Add(wait))
	if err == nil && ctx.Err() != nil { // it may have ended before the deadline was set
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return func() { stop() }, nil
}

func (c *natsWire) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errNotNATS
	}
	if err != nil {
		return "", err
	}
	if c.room -= len(b); c.room < 0 {
		return "", ErrTooLarge
	}
	return strings.TrimSpace(string(b)), nil
}

// aside takes a line that answers nothing.
func (c *natsWire) aside(text string) error {
	switch word, rest, _ := strings.Cut(text, " "); word {
	case "PING":
		_, err := io.WriteString(c.conn, "PONG\r\n")
		return err
	case "PONG", "+OK", "INFO":
		return nil
	case "-ERR": // its words may quote what was sent
		switch rest = strings.ToLower(rest); {
		case strings.Contains(rest, "authorization") || strings.Contains(rest, "authentication"):
			return fmt.Errorf("%w: not let in", ErrRefused)
		case strings.Contains(rest, "permissions violation"):
			return fmt.Errorf("%w: no permission", ErrRefused)
		}
		return errors.New("it answered an error")
	}
	return errNotNATS
}

// natsMessage is a message of somebody's.
type natsMessage struct {
	to      string
	headers []byte
	payload []byte
}

// message reads the next one. https://docs.nats.io/reference/reference-protocols/nats-protocol#hmsg
func (c *natsWire) message() (m natsMessage, err error) {
	for {
		text, err := c.line()
		if err != nil {
			return m, err
		}
		words := strings.Fields(text)
		if len(words) < 4 || words[0] != "MSG" && words[0] != "HMSG" {
			if err := c.aside(text); err != nil {
				return m, err
			}
			continue
		}
		sizes := words[len(words)-1:]
		if words[0] == "HMSG" {
			sizes = words[len(words)-2:]
		}
		all, err := strconv.Atoi(sizes[len(sizes)-1])
		head := 0
		if err == nil && len(sizes) == 2 {
			head, err = strconv.Atoi(sizes[0])
		}
		switch {
		case err != nil || head < 0 || all < head || words[2] != "1":
			return m, errNotNATS
		case all > c.room-2:
			return m, ErrTooLarge
		}
		c.room -= all + 2
		b := make([]byte, all+2)
		if _, err := io.ReadFull(c.in, b); err != nil {
			return m, err
		}
		return natsMessage{to: words[1], headers: b[:head], payload: b[head:all]}, nil
	}
}

// send asks something, and hands each answer to take until that has enough.
func (c *natsWire) send(ctx context.Context, wait time.Duration, subject string, body any, take func([]byte) (enough bool, err error)) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	done, err := c.begin(ctx, wait)
	if err != nil {
		return err
	}
	defer done()
	c.asked++
	reply := c.inbox + "." + strconv.Itoa(c.asked)
	if _, err := fmt.Fprintf(c.conn, "PUB %s %s %d\r\n%s\r\n", subject, reply, len(text), text); err != nil {
		return ended(ctx, err)
	}
	for {
		m, err := c.message()
		switch {
		case err != nil:
			return ended(ctx, err)
		case m.to != reply: // a late answer to something before
			continue
		case strings.HasPrefix(string(m.headers), "NATS/1.0 503"):
			return errNobody
		}
		if enough, err := take(m.payload); err != nil || enough {
			return err
		}
	}
}
