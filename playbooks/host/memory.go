package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"clawback/snapshots"
)

// ErrNoImager means that nobody named a program that images memory.
var ErrNoImager = errors.New("the configuration names no program that images memory (evidence: memory)")

// imagerArgs make avml write the image to its standard output, compressed, and so none to the suspect disk.
//
// Source: https://github.com/microsoft/avml/issues/253.
var imagerArgs = []string{"--compress", "/dev/stdout"}

// WithImager names avml, a program at the desk that images memory. It is sent to the host's tmpfs for it.
func WithImager(file string) SSHOption { return func(o *sshOptions) { o.imager = file } }

// WithLocalImager is WithImager for a machine in reach of this process.
func WithLocalImager(file string) LocalOption { return func(o *localOptions) { o.imager = file } }

// captureMemory has the host imaged by the program that the desk sends there.
func (s *SSH) captureMemory(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	if s.opts.imager == "" {
		return snapshots.Captured{}, ErrNoImager
	}
	if s.folder == "" {
		return snapshots.Captured{}, fmt.Errorf("image the memory of %s: the connection is closed", s.target)
	}
	program, err := os.Open(s.opts.imager)
	if err != nil {
		return snapshots.Captured{}, fmt.Errorf("open the program that images memory: %w", err)
	}
	defer program.Close()
	path := s.folder + "/imager"
	if _, err := s.run(ctx, "send the program that images memory", "cat >"+path+" && chmod 700 "+path, program); err != nil {
		return snapshots.Captured{}, err
	}
	line := path
	if s.sudo {
		line = "sudo -n -- " + line
	}
	for _, arg := range imagerArgs {
		line += " " + arg
	}
	cmd := s.command(ctx, line)
	c, err := image(ctx, cmd, sink, func(err error, said string) error {
		return s.failed("image the memory", err, said)
	})
	if _, failed := s.run(context.WithoutCancel(ctx), "remove the program that images memory", "rm -f -- "+path, nil); failed != nil {
		c.Problems = append(c.Problems, failed.Error()) // Close removes the folder
	}
	return c, err
}

// captureMemory images the machine that this process runs on.
func (l *Local) captureMemory(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	if l.imager == "" || l.root.Name() != "/" {
		return snapshots.Captured{}, ErrNoImager
	}
	cmd := exec.CommandContext(ctx, l.imager, imagerArgs...)
	cmd.Env = []string{} // it needs none of ours, which may hold secrets
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return image(ctx, cmd, sink, func(err error, said string) error {
		if said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return fmt.Errorf("image the memory of %s: %w", l.name, err)
	})
}

// image hands what a command prints to sink as the image of a memory.
func image(ctx context.Context, cmd *exec.Cmd, sink snapshots.Sink, failed func(err error, said string) error) (snapshots.Captured, error) {
	stderr := &tail{max: maxStderr}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return snapshots.Captured{}, failed(err, "")
	}
	if err := cmd.Start(); err != nil {
		return snapshots.Captured{}, failed(err, "")
	}
	return snapshots.CaptureImage(ctx, stdout, func() error {
		_ = stdout.Close() // so that a program ends of which nothing more is read
		if err := cmd.Wait(); err != nil {
			return failed(err, stderr.String())
		}
		return nil
	}, sink)
}
