package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
)

// roleNames are the roles of a response that the record can name.
var roleNames = []string{"commander", "scribe", "communications", "legal"}

// teamFlags are the flags about people.
type teamFlags struct {
	roles      []string
	ticket     string
	severity   int
	breakGlass string
}

func (t *teamFlags) flags(c *cobra.Command) {
	t.roleFlags(c)
	c.Flags().StringVar(&t.breakGlass, "break-glass", "", "go ahead without the approvals that are missing, for this `REASON`; they are asked for afterwards")
}

// severityFlag is of what declares an incident.
func (t *teamFlags) severityFlag(c *cobra.Command) {
	c.Flags().IntVar(&t.severity, "severity", 0, "how bad it is, for the record and the report: 1 is the worst, 3 the least")
}

func (t *teamFlags) roleFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&t.roles, "role", nil, "who has a role: `NAME=PERSON`, of "+strings.Join(roleNames, ", "))
	c.Flags().StringVar(&t.ticket, "ticket", "", "the change ticket `ID` that the record names")
}

// team is who responds, and who may approve what they do.
type team struct {
	roles     map[string]string
	ticket    string
	severity  int
	approvals engine.Approvals
	signers   signers.Signers
	trouble   error // why nobody's approval or note can be checked
}

// team finds out who responds, before anything is done. Where a playbook needs approvals and they
// cannot come, it refuses; where it needs none, no list of people holds it up.
func (a *app) team(t teamFlags, book playbooks.Playbook, given ...incident.Approved) (team, error) {
	var who team
	var err error
	if who.roles, err = a.roles(t.roles); err != nil {
		return who, err
	}
	if t.severity < 0 || t.severity > 3 {
		return who, usage("for example --severity 1", "--severity has to lie between 1, the worst, and 3")
	}
	who.ticket, who.severity = t.ticket, t.severity
	who.signers, who.trouble = a.allowedSigners()
	who.approvals = engine.Approvals{Requester: a.responder(), Keys: who.signers.Keys(a.responder()), Given: given}
	if t.breakGlass != "" {
		if strings.TrimSpace(t.breakGlass) == "" {
			return who, usage("for example --break-glass 'nobody answers the phone'", "--break-glass takes a reason")
		}
		who.approvals.Broken = &incident.BreakGlass{By: a.responder(), Reason: t.breakGlass}
		return who, nil
	}
	needed := slices.ContainsFunc(book.Steps(), func(s playbooks.Step) bool { return s.Approvals > 0 })
	if !needed {
		return who, nil
	}
	return who, a.checkTeam(who, book)
}

const goAlone = "; or go ahead alone with --break-glass REASON"

// checkTeam refuses to begin what could never be approved.
func (a *app) checkTeam(who team, book playbooks.Playbook) error {
	switch {
	case who.trouble != nil:
		return &failure{incident.ExitUsage, fmt.Errorf("steps of %s need approvals, and none can be checked: %w", book.Name, who.trouble), "mend the list of allowed signers" + goAlone}
	case a.config.AllowedSigners == "":
		return usage("name a list with allowed_signers: in the configuration (clawback help config)"+goAlone,
			"steps of %s need approvals, and the configuration names nobody who can give them", book.Name)
	case len(who.approvals.Keys) == 0:
		return usage("write responder: as the list of allowed signers names you, or add your own key to it"+goAlone,
			"the responder %q is nobody in %s, so nobody could tell whether somebody approves their own request", a.responder(), a.config.AllowedSigners)
	case book.Attended:
		return nil
	}
	for _, s := range book.Steps() {
		if missing := s.Approvals - who.counting(s.ID); missing > 0 {
			return &failure{incident.ExitApproval, fmt.Errorf("step %s has to be approved first by %d more, and nobody attends who could wait for them", s.ID, missing), who.hint(a) + goAlone}
		}
	}
	return nil
}

// counting is how many of the approvals that were given beforehand count for a step.
func (t team) counting(step string) int {
	var so incident.Approval
	for _, a := range t.approvals.Given {
		own := strings.EqualFold(a.By, t.approvals.Requester) || slices.Contains(t.approvals.Keys, a.Key)
		if a.Step == step && !own && so.Counts(a) == nil {
			so.Given = append(so.Given, a)
		}
	}
	return len(so.Given)
}

// hint says who can approve, and how it is done beforehand.
func (t team) hint(a *app) string {
	people := slices.DeleteFunc(t.signers.Names(nil), func(n string) bool { return strings.EqualFold(n, t.approvals.Requester) })
	who := "whoever stands in " + a.config.AllowedSigners
	if len(people) > 0 {
		who = strings.Join(people[:min(len(people), 5)], ", ")
	}
	return who + " can approve it beforehand (clawback plan -o FILE, clawback approve FILE STEP --key KEY, kill --plan FILE), or respond in the console, where approvals can come later"
}

// roles are those of the configuration, and those of the command line over them.
func (a *app) roles(flags []string) (map[string]string, error) {
	given, err := givenRoles(flags)
	if err != nil || len(a.config.Roles) == 0 {
		return given, err
	}
	roles := maps.Clone(a.config.Roles)
	maps.Copy(roles, given)
	return roles, nil
}

// givenRoles are those of the command line.
func givenRoles(flags []string) (map[string]string, error) {
	var roles map[string]string
	for _, pair := range flags {
		name, person, ok := strings.Cut(pair, "=")
		if !ok || person == "" {
			return nil, usage("for example --role commander=alice", "--role %q is not NAME=PERSON", pair)
		}
		if err := checkRole(name); err != nil {
			return nil, err
		}
		if roles == nil {
			roles = make(map[string]string)
		}
		roles[name] = person
	}
	return roles, nil
}

func checkRole(name string) error {
	if !slices.Contains(roleNames, name) {
		return usage("it is one of "+strings.Join(roleNames, ", "), "there is no role %q", name)
	}
	return nil
}

// maxSigners bounds the list of allowed signers.
const maxSigners = 1 << 20

// allowedSigners reads the list that the configuration names; without one nobody is allowed.
func (a *app) allowedSigners() (signers.Signers, error) {
	if a.config.AllowedSigners == "" {
		return signers.Signers{}, nil
	}
	src, err := readOwn(a.config.AllowedSigners, maxSigners)
	if err != nil {
		return signers.Signers{}, fmt.Errorf("allowed signers: %w", err)
	}
	list, err := signers.Parse(a.config.AllowedSigners, src)
	if err != nil {
		return signers.Signers{}, fmt.Errorf("allowed signers: %w", err)
	}
	return list, nil
}

// with makes a response that of a team: it is declared, and its inbox is open.
func (r *response) with(t team) {
	r.declared.Roles, r.declared.Ticket, r.declared.Severity = t.roles, t.ticket, t.severity
	r.engine.Approvals = t.approvals
	if t.trouble != nil {
		r.warn("no approval and no note of another person can be checked: "+t.trouble.Error(), "mend "+r.app.config.AllowedSigners)
	}
	if r.open.dir == "" {
		return
	}
	own, err := r.open.attachKey()
	if err == nil {
		err = ensureDir(filepath.Join(r.open.dir, inbox.Name))
	}
	if err != nil {
		r.warn("nobody can attach to this response: "+err.Error(), "the run goes on without that")
	}
	r.engine.Inbox = &inbox.Box{Dir: r.open.dir, Signers: t.signers, Own: own, Clock: ownClock, Disk: ownDisk}
}

func (r *response) warn(text, hint string) {
	_ = r.open.journal.Note(incident.TypeWarning, incident.Warning{Text: text, Hint: hint})
}

// attachKey is the incident's own key: who can read the folder is the responder. It is made with
// the incident, and a resumed one has it already.
func (o *open) attachKey() (ssh.PublicKey, error) {
	path := filepath.Join(o.dir, inbox.AttachKey)
	src, err := os.ReadFile(path)
	if err == nil {
		key, err := ssh.ParsePrivateKey(src)
		if err != nil {
			return nil, fmt.Errorf("%s is no private key", path)
		}
		return key.PublicKey(), nil
	}
	private, key, err := signers.Generate("clawback attach " + o.id)
	if err == nil {
		err = ensureDir(filepath.Dir(path))
	}
	if err == nil {
		err = keep(path, private)
	}
	if err != nil {
		return nil, fmt.Errorf("keep the key of the incident: %w", err)
	}
	return key.PublicKey(), nil
}

func ensureDir(path string) error {
	err := ownDisk.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// keep writes a new file that is durable, name and content, and for its owner alone.
func keep(path string, content []byte) error {
	f, err := ownDisk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return ownDisk.SyncDir(filepath.Dir(path))
}
