package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
)

// originalCommand is where sshd puts what a client wanted to run in place of a forced command.
const originalCommand = "SSH_ORIGINAL_COMMAND"

// maxCommand bounds what a client may send, in bytes.
const maxCommand = 4096

// remoteCommand is what a client of a forced command may run: nothing that names a file, an address, a
// configuration or a machine of its own choice.
type remoteCommand struct {
	usage string
	least int             // arguments
	most  int             // arguments; -1: what follows is one text
	flags map[string]bool // and whether they take a value
}

var remotes = map[string]remoteCommand{
	"respond": {"--host HOST [--accessible] [--severity N] [--ticket ID] [--role NAME=PERSON]", 0, 0, map[string]bool{"host": true, "severity": true, "accessible": false, "ticket": true, "role": true}},
	"attach":  {"[INCIDENT] [--accessible]", 0, 1, map[string]bool{"accessible": false}},
	"watch":   {"[INCIDENT] [--accessible] [--json]", 0, 1, map[string]bool{"accessible": false, "json": false}},
	"resume":  {"[INCIDENT] [--accessible]", 0, 1, map[string]bool{"accessible": false}},
	"approve": {"INCIDENT STEP [--yes]", 2, 2, map[string]bool{"yes": false}},
	"note":    {"INCIDENT TEXT", 2, -1, nil},
	"drill":   {"[SCENARIO] [--auto] [--accessible] [--seed N] [--speed N]", 0, 1, map[string]bool{"auto": false, "accessible": false, "seed": true, "speed": true}},
}

// plainWord is an argument that names something here, and no place.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@+=,-]{0,199}$`)

// forced carries out what a client of a forced command asked for.
func (a *app) forced(c *cobra.Command) error {
	text := a.env[originalCommand]
	if a.as == "" && len(a.names) == 0 {
		return usage("set ExposeAuthInfo yes in sshd_config, or --as NAME in the forced command of each key", "who you are is not known: sshd does not say whose key it was")
	}
	args, as, err := parseRemote(text)
	if err != nil {
		return err
	}
	if as != "" && as != a.as && !slices.Contains(a.names, as) {
		return usage("leave --as out", "you are %s here, and not %q", a.as, as)
	}
	if a.as = firstOf(as, a.as); a.as == "" {
		return usage("say who you are with --as NAME", "the key of this login is that of %s", strings.Join(a.names, " and "))
	}
	if len(args) == 0 {
		fmt.Fprint(a.out, remoteHelp(a.as))
		return nil
	}
	if err := a.knownHost(args); err != nil {
		return err
	}
	a.env = maps.Clone(a.env)
	delete(a.env, originalCommand)
	return a.carryOut(c.Context(), args)
}

func firstOf(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// knownHost refuses to respond to a machine that the configuration does not name.
func (a *app) knownHost(args []string) error {
	if args[0] != "respond" {
		return nil
	}
	for _, arg := range args {
		if host, ok := strings.CutPrefix(arg, "--host="); ok {
			if slices.Contains(a.config.Hosts, host) {
				return nil
			}
			return usage("hosts: in the configuration has "+dash(strings.Join(a.config.Hosts, ", ")), "the machine %q is not to be responded to from here", host)
		}
	}
	return usage("hosts: in the configuration has "+dash(strings.Join(a.config.Hosts, ", ")), "it does not say which machine: --host HOST")
}

// parseRemote makes a command line of what a client sent: words between blanks, of a closed list. No
// shell reads it, and nothing in it is special. as is what it says after --as.
func parseRemote(text string) (args []string, as string, err error) {
	refuse := func(format string, more ...any) ([]string, string, error) {
		return nil, "", usage("help lists what can be run here", format, more...)
	}
	if len(text) > maxCommand || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return refuse("that is no command line: it is too long, or not printable")
	}
	words := strings.Fields(text)
	if len(words) > 0 && words[0] == "clawback" {
		words = words[1:]
	}
	if len(words) == 0 || slices.Contains([]string{"help", "--help", "-h"}, words[0]) {
		return nil, "", nil
	}
	name := words[0]
	r, ok := remotes[name]
	if !ok {
		return refuse("%q cannot be run here", name)
	}
	var flags, rest []string
	for i := 1; i < len(words); i++ {
		flag, isFlag := strings.CutPrefix(words[i], "--")
		if r.most < 0 && len(rest) > 0 { // within a text
			isFlag = false
		}
		if !isFlag {
			rest = append(rest, words[i])
			continue
		}
		flag, value, given := strings.Cut(flag, "=")
		takes, known := r.flags[flag]
		if flag == "as" {
			takes, known = true, true
		}
		if takes && !given && i+1 < len(words) {
			i++
			value, given = words[i], true
		}
		switch {
		case !known:
			return refuse("%s takes no --%s here", name, flag)
		case takes != given || takes && !plainWord.MatchString(value):
			return refuse("--%s: not like that", flag)
		case flag == "as":
			as = value
		case takes:
			flags = append(flags, "--"+flag+"="+value)
		default:
			flags = append(flags, "--"+flag)
		}
	}
	if len(rest) < r.least || r.most >= 0 && len(rest) > r.most {
		return refuse("it is: %s %s", name, r.usage)
	}
	named := rest
	if r.most < 0 {
		named = rest[:r.least-1]
		rest = append(slices.Clone(named), strings.Join(rest[r.least-1:], " "))
	}
	for _, word := range named {
		if !plainWord.MatchString(word) {
			return refuse("%q names nothing here", word)
		}
	}
	args = append(append([]string{name}, flags...), "--")
	return append(args, rest...), as, nil
}

// remoteHelp lists what can be run.
func remoteHelp(as string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "You are %s. What can be run here:\n\n", as)
	for _, name := range slices.Sorted(maps.Keys(remotes)) {
		fmt.Fprintf(&b, "  %s %s\n", name, remotes[name].usage)
	}
	b.WriteString("\nThe console needs a terminal: ssh -t.\n")
	return b.String()
}

// errNoRemotes is why a list of machines is refused.
var errNoRemotes = errors.New("it is no machine: write [USER@]HOST, as --host takes it")

// checkHosts refuses what --host would not take.
func (c config) checkHosts() error {
	for _, host := range c.Hosts {
		if !plainWord.MatchString(host) {
			return &failure{incident.ExitUsage, fmt.Errorf("configuration %s: hosts: %.80q: %w", c.file, host, errNoRemotes), "hosts: [root@web-1]"}
		}
	}
	return nil
}
