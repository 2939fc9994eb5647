package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Outside is a host whose isolation the desk can test by other ways than the host's program.
type Outside interface {
	// WayIn makes a connection that shares nothing with the one that stands, as a desk must that
	// lost it, and returns what answered.
	WayIn(ctx context.Context) (answer string, err error)
	// WayOut has the host try to reach an address by TCP, for two seconds at most. The zero address is
	// the desk's own as the host sees it, on a port that nothing listens on: its refusal is an answer.
	WayOut(ctx context.Context, to netip.AddrPort) (Attempt, error)
}

// Outcome is what came of an attempt to reach an address.
type Outcome string

// The outcomes.
const (
	Unknown  Outcome = ""         // it could not be tried, or says nothing either way
	Answered Outcome = "answered" // accepted or refused: packets pass both ways
	Silent   Outcome = "silent"   // no answer in the time given
)

// Attempt is the host's claim about an attempt to reach an address.
type Attempt struct {
	To      netip.AddrPort
	Outcome Outcome
	Said    string // by the host's shell; "" where it said nothing
}

const (
	wayInWait  = 15 * time.Second // for a login that nobody has to type anything for
	wayOutWait = 10 * time.Second // for ssh around an attempt of 2 s
	// discard is a port on which hardly anything listens (RFC 863).
	discard = 9
)

var _ Outside = (*SSH)(nil)

// WayIn implements Outside. It asks nobody for a password: a server that wants one has answered.
func (s *SSH) WayIn(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, wayInWait)
	defer cancel()
	// Of an option that it is given twice ssh takes the first.
	args := []string{"-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "ConnectionAttempts=1"}
	cmd := exec.CommandContext(ctx, "ssh", append(append(args, s.common()...), "--", s.target, "exit 0")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	said := &tail{max: maxStderr}
	cmd.Stderr = said
	err := cmd.Run()
	switch text := said.String(); {
	case err == nil:
		return "a second connection logged in", nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("a second connection to %s: no answer within %s", s.target, wayInWait)
	case strings.Contains(text, "Permission denied ("):
		return "a second connection was asked to log in, which takes a person", nil
	case text != "":
		return "", fmt.Errorf("a second connection to %s: %s", s.target, text)
	}
	return "", fmt.Errorf("a second connection to %s: %w", s.target, err)
}

var attemptLine = regexp.MustCompile(`clawback-reached: (\S*) ([0-9]+) ?(.*)`)

// WayOut implements Outside, by the host's own shell: the host's program opens no network socket.
func (s *SSH) WayOut(ctx context.Context, to netip.AddrPort) (Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, wayOutWait)
	defer cancel()
	address, port := "${SSH_CONNECTION%% *}", discard
	if to.IsValid() {
		address, port = to.Addr().WithZone("").String(), int(to.Port())
	}
	script := `export LC_ALL=C; a="` + address + `"; said="$(timeout 2 bash -c "exec 3<>/dev/tcp/$a/` + strconv.Itoa(port) + `" 2>&1)"; ` +
		`echo "clawback-reached: $a $?" $said`
	out, err := s.run(ctx, "try a way out", script, nil)
	if err != nil {
		return Attempt{}, err
	}
	return readAttempt(out, port)
}

// readAttempt reads what the host's shell said of an attempt.
func readAttempt(out string, port int) (Attempt, error) {
	line := attemptLine.FindStringSubmatch(strings.ToValidUTF8(out, "?"))
	if line == nil {
		return Attempt{}, errors.New("the host's shell did not say what came of it")
	}
	addr, err := netip.ParseAddr(line[1])
	if err != nil {
		return Attempt{}, errors.New("the host's shell does not know the desk's address")
	}
	a := Attempt{To: netip.AddrPortFrom(addr.WithZone(""), uint16(port)), Said: cutShort(line[3])}
	switch line[2] {
	case "0":
		a.Outcome = Answered
	case "124": // of timeout(1)
		a.Outcome = Silent
	default:
		if strings.Contains(line[3], "Connection refused") {
			a.Outcome = Answered
		}
	}
	return a, nil
}

// cutShort keeps what a shell says to a size that somebody reads.
func cutShort(text string) string {
	t := &tail{max: 200}
	_, _ = t.Write([]byte(text))
	return t.String()
}
