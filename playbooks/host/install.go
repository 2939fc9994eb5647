package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// programs are the names of the host's program beside the desk's, by what "uname -sm" prints.
var programs = map[string]string{
	"Linux x86_64":  "linux-amd64",
	"Linux aarch64": "linux-arm64",
}

// folders are where the program may lie, best first: always in memory, so that the suspect disk is not
// written to. The first may forbid to run programs.
var folders = []string{"/dev/shm", "/run/user/$(id -u)", "/run"}

var errNoProgram = errors.New("there is no clawback-host to send")

var (
	machineLine = regexp.MustCompile(`clawback-machine: ([A-Za-z]+ [A-Za-z0-9_]+) ([0-9]+)`)
	folderLine  = regexp.MustCompile(`clawback-folder: ((?:/dev/shm|/run|/run/user/[0-9]+)/clawback-[A-Za-z0-9]{10})`)
)

// install puts the host's program into a folder of its own on a tmpfs.
func (s *SSH) install(ctx context.Context) error {
	var failed []error
	for _, parent := range folders {
		err := s.installIn(ctx, parent)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
		var link *LinkError
		if errors.As(err, &link) || errors.Is(err, errNoProgram) || ctx.Err() != nil {
			break // another folder would not help
		}
	}
	return errors.Join(failed...)
}

// findProgram opens the host's program for a machine: the one named, or one beside the desk's own.
func (s *SSH) findProgram(machine string) (*os.File, error) {
	if s.opts.program != "" {
		return openProgram(s.opts.program)
	}
	suffix, ok := programs[machine]
	if !ok {
		return nil, fmt.Errorf("%w for a machine that calls itself %q", errNoProgram, machine)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoProgram, err)
	}
	names := []string{"clawback-host-" + suffix}
	if suffix == runtime.GOOS+"-"+runtime.GOARCH {
		names = append(names, "clawback-host")
	}
	for _, name := range names {
		path := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return openProgram(path)
		}
	}
	return nil, fmt.Errorf("%w: %s should be in %s, beside this program", errNoProgram, strings.Join(names, " or "), filepath.Dir(self))
}

func openProgram(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoProgram, err)
	}
	return file, nil
}

func (s *SSH) installIn(ctx context.Context, parent string) error {
	said, err := s.run(ctx, "make a folder", `umask 077; echo "clawback-machine: $(uname -sm) $(id -u)"; echo "clawback-folder: $(mktemp -d "`+parent+`/clawback-XXXXXXXXXX")"`, nil)
	if err != nil {
		return err
	}
	machine, folder := machineLine.FindStringSubmatch(said), folderLine.FindStringSubmatch(said)
	if machine == nil || folder == nil {
		return fmt.Errorf("make a folder in %s on %s: got %.200q", parent, s.target, said)
	}
	s.sudo, s.folder = machine[2] != "0", folder[1]
	program, err := s.findProgram(machine[1])
	if err != nil {
		return s.abandon(ctx, err)
	}
	defer program.Close()
	path := s.folder + "/clawback-host"
	if _, err := s.run(ctx, "send the program", "cat >"+path+" && chmod 700 "+path+" && "+s.call("version"), program); err != nil {
		if s.sudo {
			err = fmt.Errorf("%w (log in as root, or let the account use sudo without a password)", err)
		}
		return s.abandon(ctx, err)
	}
	return nil
}

// abandon removes a folder from which no program runs.
func (s *SSH) abandon(ctx context.Context, failed error) error {
	var link *LinkError
	if errors.As(failed, &link) {
		return failed // Close says what is left
	}
	if _, err := s.run(ctx, "remove the program", "rm -rf -- "+s.folder, nil); err != nil {
		return errors.Join(failed, err)
	}
	s.folder = ""
	return failed
}

// call is the command line of a verb, for the host's shell.
func (s *SSH) call(verb string, args ...string) string {
	line := s.folder + "/clawback-host " + verb
	if s.sudo {
		line = "sudo -n -- " + line
	}
	for _, arg := range args {
		line += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return line
}
