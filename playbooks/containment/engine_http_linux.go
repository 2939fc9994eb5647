package containment

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	maxHead = 1 << 16  // bytes of an answer's head
	maxTold = 16 << 20 // bytes of an answer that is read as a whole
)

// errLong is returned, with its beginning, for an answer that goes on beyond what is read of it.
var errLong = errors.New("the answer goes on")

// refusal is an engine's answer that it did not do what it was asked to.
type refusal struct {
	status  int
	message string // of the engine: a claim, made printable
}

func (r *refusal) Error() string {
	return fmt.Sprintf("status %d: %s", r.status, r.message)
}

// ask sends one request to the engine and returns the answer, at most max bytes of it. This is the
// little of HTTP/1.1 (RFC 9112) that an engine speaks on its socket, written out because the program
// on a suspect host has no HTTP client, and so none that could be led elsewhere.
func (e *engine) ask(ctx context.Context, method, path string, body any, max int64) ([]byte, error) {
	if e.silent != nil { // once is enough: while we wait, the agent may work
		return nil, e.silent
	}
	patience, allowance := e.patience()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	defer func() {
		if e.waited += time.Since(start); e.waited > allowance && e.silent == nil {
			e.silent = fmt.Errorf("it answers too slowly: %s for all so far", e.waited.Round(time.Second))
		}
	}()
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	dialer := net.Dialer{Timeout: dialWait}
	conn, err := dialer.DialContext(ctx, "unix", e.socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n", method, path)
	if method != "GET" {
		fmt.Fprintf(&request, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(content))
	}
	request.WriteString("\r\n")
	request.Write(content)
	if _, err := conn.Write(request.Bytes()); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	status, answer, err := readAnswer(conn, max)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer: %w", ctx.Err())
		if len(answer) == 0 {
			e.silent = err
		}
	}
	if err == nil && (status < 200 || status > 299) {
		err = &refusal{status, words(answer)}
	}
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, nil
}

// patience is how long one answer may take, and all answers to one verb: a user's engine may be the
// agent's, and built to hang or to have hundreds of slow containers.
func (e *engine) patience() (one, all time.Duration) {
	if e.uid != 0 {
		return dialWait, callWait
	}
	return callWait, reloadWait
}

// words is an engine's message, as a line that is safe to show.
func words(answer []byte) string {
	var said struct{ Message string }
	if json.Unmarshal(answer, &said) != nil {
		said.Message = string(answer)
	}
	return printable(said.Message)
}

// readAnswer reads one answer to the end of its body, or max bytes of it with errLong.
func readAnswer(from io.Reader, max int64) (status int, body []byte, err error) {
	r := bufio.NewReader(from)
	var length int64 = -1
	chunked := false
	for left, first := maxHead, true; ; first = false {
		line, err := readLine(r)
		if left -= len(line) + 2; err == nil && left < 0 {
			err = errors.New("longer than an engine's is")
		}
		if err != nil {
			return 0, nil, fmt.Errorf("head of the answer: %w", err)
		}
		if first {
			if status, err = parseStatus(line); err != nil {
				return 0, nil, err
			}
			continue
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "transfer-encoding":
			if chunked = strings.EqualFold(value, "chunked"); !chunked {
				return 0, nil, fmt.Errorf("an answer in transfer encoding %.40q", value)
			}
		case "content-length":
			n, err := strconv.ParseUint(value, 10, 62)
			if err != nil {
				return 0, nil, fmt.Errorf("an answer of length %.40q", value)
			}
			length = int64(n)
		}
	}
	switch {
	case status == 204 || status == 304:
		return status, nil, nil
	case chunked:
		body, err = readChunks(r, max)
	case length > max:
		if body, err = readFull(r, max); err == nil {
			err = errLong
		}
	case length >= 0:
		body, err = readFull(r, length)
	default:
		if body, err = io.ReadAll(io.LimitReader(r, max+1)); int64(len(body)) > max {
			body, err = body[:max], errLong
		}
	}
	return status, body, err
}

// parseStatus reads "HTTP/1.1 200 OK".
func parseStatus(line string) (int, error) {
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") || len(code) != 3 || status < 200 {
		return 0, fmt.Errorf("%.40q is no HTTP answer", line)
	}
	return status, nil
}

// readLine reads a line of at most a buffer's length, without its end.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimRight(string(line), "\r\n"), err
}

// readFull reads n bytes, and no more memory is taken than have come.
func readFull(r io.Reader, n int64) ([]byte, error) {
	var out bytes.Buffer
	_, err := io.CopyN(&out, r, n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return out.Bytes(), err
}

// readChunks reads a body in chunks (RFC 9112, section 7.1). What may follow the last is left unread.
func readChunks(r *bufio.Reader, max int64) ([]byte, error) {
	var out []byte
	for {
		line, err := readLine(r)
		if err != nil {
			return out, err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 62)
		if err != nil {
			return out, fmt.Errorf("a chunk of size %.40q", size)
		}
		if n == 0 {
			return out, nil
		}
		room := max - int64(len(out))
		data, err := readFull(r, min(int64(n), room))
		out = append(out, data...)
		if err != nil {
			return out, err
		}
		if int64(n) > room {
			return out, errLong
		}
		if end, err := readLine(r); err != nil || end != "" {
			return out, fmt.Errorf("a chunk without an end: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
}
