package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"

	"clawback/playbooks/host/wire"
)

const (
	// connectWait bounds a connection that nobody has to type anything for.
	connectWait = 30 * time.Second
	// setUpWait bounds each step that prepares the host, the upload of the program among them.
	setUpWait = 2 * time.Minute
	closeWait = 10 * time.Second
	maxStderr = 4 << 10
)

// SSH is a host that the desk reaches by the system's ssh, so that the team's certificates, jump hosts
// and hardware keys work. All verbs share one connection. The host's program is put into a folder of its
// own on a tmpfs and removed by Close. When the link is lost the agent stays as it is.
type SSH struct {
	target   string
	opts     sshOptions
	dir      string // at the desk: holds the connection's control socket
	master   *exec.Cmd
	gone     chan struct{} // closed when master has ended
	said     *tail         // what master printed
	folder   string        // on the host
	sudo     bool
	identity *age.X25519Identity
}

var _ Host = (*SSH)(nil)

// SSHOption changes how DialSSH reaches its host.
type SSHOption func(*sshOptions)

type sshOptions struct {
	root, config, program, imager string
	interactive                   bool
	limits                        wire.Limits
}

// WithRoot has the host's program work below a folder of the host instead of "/".
func WithRoot(root string) SSHOption { return func(o *sshOptions) { o.root = root } }

// WithConfig uses this file as ssh's configuration in place of the user's and the system's.
func WithConfig(file string) SSHOption { return func(o *sshOptions) { o.config = file } }

// WithProgram sends this file as the host's program, in place of one found beside the desk's.
func WithProgram(file string) SSHOption { return func(o *sshOptions) { o.program = file } }

// WithPrompts lets ssh ask for passwords, pins and unknown host keys on the terminal.
func WithPrompts() SSHOption { return func(o *sshOptions) { o.interactive = true } }

// WithLimits bounds what is taken from one verb.
func WithLimits(l wire.Limits) SSHOption { return func(o *sshOptions) { o.limits = l } }

// DialSSH connects to [USER@]HOST and puts the host's program there. ctx bounds the dialling alone. The
// caller must Close what it returns.
func DialSSH(ctx context.Context, target string, opts ...SSHOption) (*SSH, error) {
	if err := checkTarget(target); err != nil {
		return nil, err
	}
	s := &SSH{target: target, opts: sshOptions{root: "/"}, gone: make(chan struct{}), said: &tail{max: maxStderr}}
	for _, opt := range opts {
		opt(&s.opts)
	}
	if !filepath.IsAbs(s.opts.root) || strings.ContainsAny(s.opts.root, "\x00\n") {
		return nil, fmt.Errorf("root %q on %s: it must be an absolute path", s.opts.root, target)
	}
	var err error
	if s.identity, err = age.GenerateX25519Identity(); err != nil {
		return nil, fmt.Errorf("key for the secrets of %s: %w", target, err)
	}
	// Not in $TMPDIR: the path of a socket has little room.
	if s.dir, err = os.MkdirTemp("/tmp", fmt.Sprintf("clawback-%d-", os.Getpid())); err != nil {
		return nil, fmt.Errorf("folder for the connection to %s: %w", target, err)
	}
	if err = s.connect(ctx); err == nil {
		err = s.install(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *SSH) control() string { return filepath.Join(s.dir, "s") }

// common are the options of every call of ssh. What leads from the host back to the desk is off.
func (s *SSH) common() []string {
	args := []string{
		"-T", "-x", "-a",
		"-o", "ControlPath=" + s.control(), "-o", "ControlPersist=no",
		"-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "ClearAllForwardings=yes", "-o", "GSSAPIDelegateCredentials=no",
		"-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none", "-o", "RequestTTY=no", "-o", "EscapeChar=none", "-o", "SendEnv=-*",
		"-o", "Tunnel=no",
		"-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
	}
	if s.opts.config != "" {
		args = append([]string{"-F", s.opts.config}, args...)
	}
	if !s.opts.interactive {
		args = append(args, "-o", "BatchMode=yes")
	}
	return args
}

// connect starts the connection that all verbs share, and waits until it stands.
func (s *SSH) connect(ctx context.Context) error {
	args := append(s.common(), "-N", "-o", "ControlMaster=yes", "-o", "ConnectTimeout=20", "--", s.target)
	s.master = s.masterCommand(args)
	s.master.Stderr = s.said
	s.master.WaitDelay = time.Second
	if err := s.master.Start(); err != nil {
		s.master = nil
		close(s.gone)
		return fmt.Errorf("connect to %s: %w", s.target, err)
	}
	go func() {
		_ = s.master.Wait()
		close(s.gone)
	}()
	if !s.opts.interactive {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, connectWait)
		defer cancel()
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// ssh puts the socket in place once the connection is authenticated and open.
		if _, err := os.Lstat(s.control()); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.gone:
			return &LinkError{Host: s.target, Verb: connecting, Err: errors.New(s.said.String())}
		case <-ctx.Done():
			return &LinkError{Host: s.target, Verb: connecting, Err: ctx.Err()}
		}
	}
}

// masterCommand makes ssh deaf to the desk's terminal: ctrl+C and the end of the terminal are for
// the desk to decide on, and must not cut the link. What may prompt has to stay in the terminal's
// foreground, so it takes no notice of the signals instead; ssh leaves what it finds ignored alone.
func (s *SSH) masterCommand(args []string) *exec.Cmd {
	if s.opts.interactive {
		return exec.Command("sh", append([]string{"-c", `trap "" HUP INT QUIT TSTP; exec ssh "$@"`, "ssh"}, args...)...)
	}
	cmd := exec.Command("ssh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// command is a call of a command on the host over the shared connection.
func (s *SSH) command(ctx context.Context, line string) *exec.Cmd {
	// Without the shared connection ssh would make a new one: not behind the responder's back.
	args := append(s.common(), "-o", "ControlMaster=no", "-o", "ProxyCommand=false", "--", s.target, line)
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a line of sh, without single quotes, that prints little. Whatever it prints, no more than
// maxStderr is kept.
func (s *SSH) run(ctx context.Context, verb, line string, stdin *os.File) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, setUpWait)
	defer cancel()
	stdout, stderr := &tail{max: maxStderr}, &tail{max: maxStderr}
	cmd := s.command(ctx, "exec sh -c '"+line+"'") // the account's own shell may be any
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", s.failed(verb, err, stderr.String())
	}
	return stdout.String(), nil
}

// failed tells a lost link from a command that failed. ssh exits with 255 for its own errors.
func (s *SSH) failed(verb string, err error, said string) error {
	if said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 255 || s.ended() {
		return &LinkError{Host: s.target, Verb: verb, Err: err}
	}
	return fmt.Errorf("%s on %s: %w", verb, s.target, err)
}

// ended reports whether the shared connection is gone.
func (s *SSH) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// Close removes what the desk left on the host, and ends the connection.
func (s *SSH) Close() error {
	var failed error
	if s.folder != "" && !s.ended() {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		_, failed = s.run(ctx, "remove the program", "rm -rf -- "+s.folder, nil)
		cancel()
	}
	if s.folder != "" && (failed != nil || s.ended()) {
		failed = errors.Join(fmt.Errorf("%s: the link is lost, the folder %s may still be there", s.target, s.folder), failed)
	}
	if s.master != nil {
		_ = s.master.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(closeWait, func() { _ = s.master.Process.Kill() })
		<-s.gone
		kill.Stop()
	}
	s.folder = ""
	return errors.Join(failed, os.RemoveAll(s.dir))
}

// tail keeps the last max bytes of what is written to it.
type tail struct {
	max  int
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p[max(0, len(p)-t.max):]...)
	t.data = t.data[max(0, len(t.data)-t.max):]
	return len(p), nil
}

// String is what was kept on one line, without what would drive a terminal.
func (t *tail) String() string {
	clean := bytes.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, bytes.ToValidUTF8(t.data, []byte("?")))
	return strings.Join(strings.Fields(string(clean)), " ")
}
