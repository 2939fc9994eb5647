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

var (
	machineLine = regexp.MustCompile(`clawback-machine: ([A-Za-z]+ [A-Za-z0-9_]+) ([0-9]+)`)
	folderLine  = regexp.MustCompile(`clawback-folder: ((?:/dev/shm|/run|/run/user/[0-9]+)/clawback-[A-Za-z0-9]{10})`)
)

// install puts the host's program into a folder of its own on a tmpfs.
func (s *SSH) install(ctx context.Context) error {
	said, err := s.run(ctx, "look at the machine", `echo "clawback-machine: $(uname -sm) $(id -u)"`, nil)
	if err != nil {
		return err
	}
	match := machineLine.FindStringSubmatch(said)
	if match == nil {
		return &ClaimError{s.target, "look at the machine", fmt.Errorf("it calls itself %.200q", said)}
	}
	s.sudo = match[2] != "0"
	program, err := s.findProgram(match[1])
	if err != nil {
		return fmt.Errorf("%s: %w", s.target, err)
	}
	var failed []error
	for _, folder := range folders {
		if err = s.installIn(ctx, folder, program); err == nil {
			return nil
		}
		failed = append(failed, err)
		var link *LinkError
		if errors.As(err, &link) || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// findProgram finds the host's program for a machine: the one named, or one beside the desk's own.
func (s *SSH) findProgram(machine string) (string, error) {
	if s.opts.program != "" {
		return s.opts.program, nil
	}
	suffix, ok := programs[machine]
	if !ok {
		return "", fmt.Errorf("there is no clawback-host for %q", machine)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find clawback-host: %w", err)
	}
	names := []string{"clawback-host-" + suffix}
	if suffix == runtime.GOOS+"-"+runtime.GOARCH {
		names = append(names, "clawback-host")
	}
	for _, name := range names {
		path := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s, beside this program", strings.Join(names, " or "), filepath.Dir(self))
}

func (s *SSH) installIn(ctx context.Context, parent, program string) error {
	said, err := s.run(ctx, "make a folder", `umask 077; echo "clawback-folder: $(mktemp -d "`+parent+`/clawback-XXXXXXXXXX")"`, nil)
	if err != nil {
		return err
	}
	match := folderLine.FindStringSubmatch(said)
	if match == nil {
		return fmt.Errorf("make a folder in %s on %s: got %.200q", parent, s.target, said)
	}
	s.folder = match[1]
	file, err := os.Open(program)
	if err != nil {
		return fmt.Errorf("program for the host: %w", err)
	}
	defer file.Close()
	path := s.folder + "/clawback-host"
	if _, err := s.run(ctx, "send the program", "cat >"+path+" && chmod 700 "+path, file); err != nil {
		return s.abandon(ctx, err)
	}
	if _, err := s.run(ctx, "run the program", s.call("version"), nil); err != nil {
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
