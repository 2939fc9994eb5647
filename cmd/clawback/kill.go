package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/playbooks/platform/broker"
	"clawback/revoke"
	"clawback/revoke/discover/sqlite"
	"clawback/revoke/providers"
)

// target is what a response is about, as the flags name it.
type target struct {
	host      string
	root      string
	handoff   string // a file in place of them
	identity  string // that opens it
	endpoints []string
	risks     []string
	hostLost  bool
	deadline  time.Duration
	signKey   string
	playbook  string
	teamFlags
}

func (t *target) flags(c *cobra.Command) {
	t.resolveFlags(c)
	t.handoffFlags(c)
	signKeyFlag(c, &t.signKey)
	t.teamFlags.flags(c)
	t.severityFlag(c)
}

// resolveFlags are the flags that say what is done to which machine.
func (t *target) resolveFlags(c *cobra.Command) {
	t.machineFlags(c)
	c.Flags().StringArrayVar(&t.endpoints, "endpoint", nil, "call `PROVIDER=URL` instead of the compiled-in address")
	c.Flags().StringArrayVar(&t.risks, "accept-risk", nil, "accept one named risk: "+strings.Join(riskNames(), ", "))
	hostLostFlag(c, &t.hostLost)
	c.Flags().StringVar(&t.playbook, "playbook", "", "carry out another playbook: its `NAME`, or the path of a file")
}

// hostLostFlag is the finding that the host itself is compromised, by whoever begins a run.
func hostLostFlag(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "host-lost", false, "the host itself is compromised: take what its other users keep there, too")
}

// machineFlags are the flags that name the machine under response.
func (t *target) machineFlags(c *cobra.Command) {
	c.Flags().StringVar(&t.host, "host", "", "respond to the machine `[USER@]HOST` over ssh")
	c.Flags().StringVar(&t.root, "root", "", "respond to what lies below `DIR`: a mounted disk, a copy (default /)")
}

// handoffFlags name, in place of a machine, what one without a link wrote.
func (t *target) handoffFlags(c *cobra.Command) {
	c.Flags().StringVar(&t.handoff, "handoff", "", "respond to what a machine without a link handed over in `FILE`")
	c.Flags().StringVar(&t.identity, "identity", "", "open the handoff with the key in `FILE`")
}

func riskNames() []string {
	var names []string
	for name := range actions.Risks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (a *app) killCommand() *cobra.Command {
	var t target
	var yes, json, dry bool
	var planFile string
	c := &cobra.Command{
		Use:   "kill",
		Short: "The kill switch: freeze, preserve, revoke all, prove, keep down, report",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if planFile != "" {
				return a.killPlanned(c.Context(), t, planFile, c.Flags().Changed, yes, json, dry)
			}
			return a.kill(c.Context(), t, yes, json, dry)
		},
	}
	t.flags(c)
	c.Flags().BoolVar(&yes, "yes", false, "do it; without it the plan is shown and you are asked")
	c.Flags().BoolVar(&json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would be done; nothing is changed or sent")
	c.Flags().StringVar(&planFile, "plan", "", "carry out the plan in `FILE`, unless what it is about has changed")
	t.deadlineFlag(c)
	return c
}

func (t *target) deadlineFlag(c *cobra.Command) {
	c.Flags().DurationVar(&t.deadline, "deadline", 2*time.Minute, "until when each death has to be proved")
}

func (a *app) respondCommand() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "respond",
		Short: "The console: the same response step by step, you decide",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.respond(c.Context(), t)
		},
	}
	t.flags(c)
	a.accessibleFlag(c)
	return c
}

func (a *app) kill(ctx context.Context, t target, yes, json, dry bool) error {
	book, err := a.killBook(t)
	if err != nil {
		return err
	}
	if err := a.canAsk(yes || dry); err != nil {
		return err
	}
	who, err := a.team(t.teamFlags, book)
	if err != nil && !dry {
		return err
	}
	s, err := a.prepare(ctx, t, dry)
	if err != nil {
		return err
	}
	s.team = who
	defer func() { _ = s.host.Close() }()
	if dry {
		return s.rehearse(ctx, book, json)
	}
	if !yes {
		s.showPlan(book)
		if err := a.askToGoOn(s.host.Name()); err != nil {
			return err
		}
	}
	return s.start(ctx, book, json, false)
}

// canAsk refuses a kill that nobody allowed where nobody can be asked.
func (a *app) canAsk(allowed bool) error {
	if !allowed && !term.IsTerminal(int(a.in.Fd())) {
		return &failure{incident.ExitApproval, errors.New("kill changes things, and nobody can be asked here"),
			"add --yes, or look first with --dry-run"}
	}
	return nil
}

// killBook is the playbook of a kill: one that asks nobody.
func (a *app) killBook(t target) (playbooks.Playbook, error) {
	if t.deadline <= 0 {
		return playbooks.Playbook{}, usage("for example --deadline 2m", "--deadline has to be positive")
	}
	book, err := a.playbook(cmp.Or(t.playbook, playbooks.KillSwitch), t.deadline)
	if err == nil && book.Attended {
		err = usage("clawback respond carries it out", "playbook %s asks a person, and nobody attends to kill", book.Name)
	}
	return book.Where(a.facts(t.host, t.host != "" || t.handoff != "")), err
}

func (a *app) respond(ctx context.Context, t target) error {
	if err := a.noConsole(); err != nil {
		return &failure{incident.ExitUsage, err, "without one there is the kill switch: clawback kill --dry-run shows what it would do"}
	}
	book, err := a.playbook(cmp.Or(t.playbook, playbooks.SuspectedCompromise), 0)
	if err != nil {
		return err
	}
	book = book.Where(a.facts(t.host, t.host != "" || t.handoff != ""))
	book.Attended = true
	who, err := a.team(t.teamFlags, book)
	if err != nil {
		return err
	}
	s, err := a.prepare(ctx, t, false)
	if err != nil {
		return err
	}
	s.team = who
	defer func() { _ = s.host.Close() }()
	return s.start(ctx, book, false, true)
}

// askToGoOn wants the target typed, on the terminal even where stdin is something else.
func (a *app) askToGoOn(name string) error {
	fmt.Fprintf(a.err, "\nType  kill %s  to go on: ", name)
	line, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "kill "+name {
		return &failure{incident.ExitApproval, errors.New("nothing was done"), "type what is asked for, or add --yes"}
	}
	return nil
}

// situation is a target that was reached and described, and all that a response to it needs.
type situation struct {
	app         *app
	target      target
	host        host.Host
	description containment.Description
	authorities *actions.Authorities
	providers   map[string]revoke.Provider
	looking     map[string]revoke.Provider // the same, that can look and not touch
	platforms   []actions.Platform         // what the target runs on
	reachLater  func(context.Context) (host.Host, error)
	accepted    map[string]bool
	own         ownKey
	team        team
	brokers     []broker.Broker
	planned     *planned // nil without a plan
}

// prepare reaches the target and looks at it. Nothing is changed, and no provider is asked.
func (a *app) prepare(ctx context.Context, t target, dry bool) (*situation, error) {
	s, endpoints, err := a.resolve(t)
	if err != nil {
		return nil, err
	}
	if s.host, err = a.reach(ctx, &t); err != nil {
		return nil, err
	}
	if s.description, err = s.describe(ctx); err != nil {
		return nil, errors.Join(err, s.host.Close())
	}
	// A machine on which the agent runs is suspect, whatever folder was named.
	suspect := !s.host.Remote() && (t.root == "/" || len(s.description.Processes) > 0)
	if err := s.supply(endpoints, suspect, dry); err != nil {
		return nil, errors.Join(err, s.host.Close())
	}
	return s, nil
}

// resolve checks what the command line says beside the target.
func (a *app) resolve(t target) (*situation, map[string]string, error) {
	s := &situation{app: a, target: t, accepted: make(map[string]bool)}
	for _, name := range t.risks {
		if actions.Risks[name] == "" {
			return nil, nil, usage("it is one of "+strings.Join(riskNames(), ", "), "there is no risk %q", name)
		}
		s.accepted[name] = true
	}
	endpoints, err := a.endpoints(t.endpoints)
	if err != nil {
		return nil, nil, err
	}
	if s.own, err = signKey(t.signKey); err != nil {
		return nil, nil, err
	}
	return s, endpoints, nil
}

// noAuthorities are none, to which some can be added.
func noAuthorities() *actions.Authorities {
	return &actions.Authorities{
		Load:    make(map[string]func(context.Context) (revoke.Authority, error)),
		Runs:    make(map[string]bool),
		Forget:  make(map[string]func()),
		Renewal: make(map[string]string),
		Try:     make(map[string]func(context.Context) (string, error)),
	}
}

// supply gives a situation its authorities and providers.
func (s *situation) supply(endpoints map[string]string, suspect, dry bool) (err error) {
	s.authorities = noAuthorities()
	s.authorities.Suspect, s.authorities.Accepted = suspect, s.accepted[actions.RiskAuthorityOnSuspect]
	s.brokers = s.app.brokers(s.authorities)
	for name, authority := range s.app.config.Authorities {
		s.authorities.Load[name], s.authorities.Forget[name] = authority.authority(s.app.env)
		s.authorities.Runs[name] = authority.runs()
		s.authorities.Renewal[name] = authority.renewal()
	}
	if s.providers, err = providers.New(s.env(endpoints, s.authorities, dry)); err != nil {
		return misconfigured(err)
	}
	if s.platforms, err = s.runsOn(s.target.host, endpoints, dry); err == nil && !dry {
		s.looking, err = s.readers(endpoints)
	}
	return misconfigured(err)
}

// endpoints are those of the configuration, and those of the command line over them.
func (a *app) endpoints(flags []string) (map[string]string, error) {
	all := make(map[string]string)
	for name, e := range a.config.Endpoints {
		all[name] = e.URL
	}
	for _, pair := range flags {
		name, e, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("for example --endpoint github=https://github.example.com/api/v3", "--endpoint %q is not PROVIDER=URL", pair)
		}
		if err := checkEndpoint(name, e); err != nil {
			return nil, err
		}
		all[name] = e
	}
	return all, nil
}

// reach connects to the machine under response. A root gets its real path.
func (a *app) reach(ctx context.Context, t *target) (host.Host, error) {
	if t.host != "" && t.root != "" || t.handoff != "" && (t.host != "" || t.root != "") {
		return nil, usage("name one of them", "--host, --root and --handoff name different targets")
	}
	if t.handoff != "" {
		return t.handed(ctx)
	}
	var h host.Host
	var err error
	if t.host != "" {
		h, err = a.dial(ctx, t.host)
	} else {
		if t.root, err = realPath(cmp.Or(t.root, "/")); err == nil {
			h, err = host.NewLocal(t.root, host.WithDatabases(sqlite.Read), host.WithLocalImager(a.config.Evidence.Memory))
		}
	}
	if err != nil {
		hint := "nothing was done"
		if errors.As(err, new(*host.LinkError)) {
			hint += "; check the name and that you can log in; a machine that clawback isolated lets in the desk that isolated it alone"
		}
		return nil, &failure{incident.ExitNothing, fmt.Errorf("reach %s: %w", cmp.Or(t.host, t.root, "this machine"), err), hint}
	}
	return h, nil
}

// realPath gives a folder the one name that the record, and the lock of whoever responds to it, go by.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return path, err
	}
	if info, err := os.Stat(resolved); err != nil {
		return path, err
	} else if !info.IsDir() {
		return path, errors.New("it is not a folder") // and to open a FIFO would wait for ever
	}
	return resolved, nil
}

// sshOptions let ssh ask for a PIN or a password where somebody can answer.
func (a *app) sshOptions() []host.SSHOption {
	var opts []host.SSHOption
	if a.config.SSHConfig != "" {
		opts = append(opts, host.WithConfig(a.config.SSHConfig))
	}
	if a.config.Evidence.Memory != "" {
		opts = append(opts, host.WithImager(a.config.Evidence.Memory))
	}
	if term.IsTerminal(int(a.in.Fd())) {
		opts = append(opts, host.WithPrompts())
	}
	return opts
}

// lookWait bounds the first look at a host, which may not answer for ever.
const lookWait = time.Minute

func (s *situation) describe(ctx context.Context) (containment.Description, error) {
	d, err := s.look(ctx)
	if err == nil && len(d.Installations) == 0 && len(d.Processes) == 0 && len(d.Units) == 0 {
		problems := ""
		for _, p := range d.Problems {
			problems += fmt.Sprintf("; %s: %s", p.Path, p.Reason)
		}
		return d, &failure{incident.ExitNoInstallation, fmt.Errorf("no OpenClaw installation on %s%s", s.host.Name(), problems),
			"run it as root, or name the disk that holds it with --root"}
	}
	return d, err
}

// look is the first look at a host.
func (s *situation) look(ctx context.Context) (containment.Description, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookWait, fmt.Errorf("no answer within %s", lookWait))
	defer cancel()
	d, err := s.host.Describe(ctx)
	if err != nil {
		return d, &failure{incident.ExitNothing, fmt.Errorf("look at %s: %w", s.host.Name(), err), "nothing was done"}
	}
	return d, nil
}

// start opens a new record and carries the playbook out.
func (s *situation) start(ctx context.Context, book playbooks.Playbook, json, console bool) error {
	o, err := s.app.create("INC", s.host.Name(), ownClock.Now)
	if err != nil {
		return err
	}
	s.app.hintUnfinished(s.host.Name())
	r := s.response(o, book, s.declared(o.id, book, console), json)
	r.work.Key = o.fingerprintKey()
	if s.planned != nil {
		r.work.Planned = s.planned.Member(s.planned.key)
	}
	r.with(s.team)
	r.signWith(s.own, "")
	return r.run(ctx)
}

// response is a run of the playbook in a record that is open, new or taken up again.
func (s *situation) response(o *open, book playbooks.Playbook, d incident.Declared, json bool) *response {
	r := &response{app: s.app, open: o, json: json, console: d.Attended, declared: d}
	r.work = &actions.Response{
		Dir: o.dir, Host: s.host, Description: s.description, Providers: s.providers, Readers: s.looking, Authorities: s.authorities,
		Clock: ownClock, Disk: ownDisk, Desk: hostname(), Version: version, Attended: d.Attended, Accepted: s.accepted,
		HostLost: s.target.hostLost, Platforms: s.platforms, Brokers: s.brokers,
	}
	s.app.keeps(r.work)
	r.work.Custodian = s.app.custodian()
	r.work.Keep, _ = s.app.config.Isolation.keep() // checked when it was read
	r.work.Forbidden, _ = s.app.config.Isolation.forbidden()
	r.engine = &engine.Engine{Journal: o.journal, Playbook: book, Clock: ownClock, Facts: s.facts()}
	return r
}

func (s *situation) facts() map[string]bool {
	return s.app.facts(s.host.Name(), s.host.Remote())
}

func (s *situation) declared(id string, book playbooks.Playbook, attended bool) incident.Declared {
	d := incident.Declared{
		Incident: id, Mode: incident.Real, Playbook: book.Name, Target: s.host.Name(), Remote: s.host.Remote(), Attended: attended,
		Responder: s.app.responder(), Desk: hostname(), Version: version, Accepted: s.target.risks,
		HostLost: s.target.hostLost,
	}
	if s.target.deadline > 0 {
		d.Deadline = s.target.deadline.String()
	}
	for _, pair := range s.target.endpoints {
		name, url, _ := strings.Cut(pair, "=")
		if d.Endpoints == nil {
			d.Endpoints = make(map[string]string)
		}
		d.Endpoints[name] = url
	}
	if s.planned != nil {
		d.Approved = s.planned.digest
	}
	return d
}
