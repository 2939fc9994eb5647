package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// resp speaks version 2 of the protocol of Redis on one connection, one command at a time.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type resp struct {
	conn net.Conn
	in   *bufio.Reader
	room int // bytes that the answer under way may still have
}

const (
	maxRespLine  = 64 << 10
	maxRespDepth = 6
)

// respError is an error that the server answered. Its text may quote what was sent.
type respError string

func (e respError) Error() string { return "it answered " + strings.ToUpper(e.word()) }

// word is the first one, which says what kind of error it is: "NOPERM", "WRONGPASS".
func (e respError) word() string {
	word, _, _ := strings.Cut(string(e), " ")
	for _, r := range word {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "an error"
		}
	}
	return cut(word)
}

// do sends a command and returns its answer: string, int64, nil, or a slice of them.
func (c *resp) do(ctx context.Context, args ...string) (any, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.conn.SetDeadline(time.Now().Add(askWait)); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // it may have ended before the deadline was set
		return nil, context.Cause(ctx)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := io.WriteString(c.conn, b.String())
	var answer any
	if err == nil {
		c.room = maxAnswer
		answer, err = c.read(0)
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if refusal, ok := answer.(respError); ok && err == nil {
		switch refusal.word() {
		case "NOPERM", "NOAUTH", "WRONGPASS":
			return nil, fmt.Errorf("%w: %w", ErrRefused, refusal)
		}
		return nil, refusal
	}
	return answer, err
}

func (c *resp) read(depth int) (any, error) {
	text, err := c.line()
	if err != nil {
		return nil, err
	}
	if text == "" || depth > maxRespDepth {
		return nil, errNotRedis
	}
	rest := text[1:]
	switch text[0] {
	case '+':
		return rest, nil
	case '-':
		return respError(rest), nil
	case ':':
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return nil, errNotRedis
		}
		return n, nil
	case '$':
		return c.bulk(rest)
	case '*':
		return c.array(rest, depth)
	}
	return nil, errNotRedis
}

var errNotRedis = errors.New("what answers does not speak the protocol of Redis")

func (c *resp) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errNotRedis
	}
	if err != nil {
		return "", err
	}
	if c.room -= len(b); c.room < 0 {
		return "", ErrTooLarge
	}
	return strings.TrimSuffix(string(b), "\r\n"), nil
}

func (c *resp) bulk(length string) (any, error) {
	n, err := strconv.Atoi(length)
	switch {
	case err != nil || n < -1:
		return nil, errNotRedis
	case n == -1:
		return nil, nil
	case n > c.room-2:
		return nil, ErrTooLarge
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.in, b); err != nil {
		return nil, err
	}
	c.room -= n + 2
	return string(b[:n]), nil
}

func (c *resp) array(length string, depth int) (any, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n < -1 {
		return nil, errNotRedis
	}
	var list []any // each element takes of what there is room for
	for range n {
		if c.room -= 32; c.room < 0 { // and some for itself
			return nil, ErrTooLarge
		}
		v, err := c.read(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
