// Package tree writes OpenClaw installations to practise on: the files of one host after a prompt
// injection, with given credentials in the places where an agent keeps them. It knows by itself
// where it put what, so that a search can be checked against it.
package tree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clawback/revoke/credential"
)

// Where the parts of a generated tree are, below its root.
const (
	Home      = "home/openclaw"
	StateDir  = Home + "/.openclaw"
	Workspace = StateDir + "/workspace"
	UnitFile  = Home + "/.config/systemd/user/openclaw-gateway.service"
)

// Truth is what a generated tree holds.
type Truth struct {
	Sources [][]credential.Source // of each credential, by its index
	Shown   []int                 // the credentials whose secrets the agent read out to the attacker
	Story   Story

	StateDir string  // below the tree's root
	More     []Place // of what was not given: the agent's own credentials, and references to others
}

// Story is what happened on the host, for those who score what a responder found out.
type Story struct {
	Session    string    // id of the session in which it happened
	Transcript string    // path of its transcript
	Log        string    // path of the gateway's log
	Page       string    // address of the page that carried the injection
	Receiver   string    // address to which the agent sent what it read
	Injected   time.Time // the agent read the page
	Read       time.Time // the agent read the secrets
	Sent       time.Time // the secrets left the host
}

// Generate writes an installation of storage generation A below dir, which must exist, and puts
// each credential in one to three places that suit its kind. Nothing else in the tree looks like
// a secret. Two calls with the same credentials and generators in the same state write the same
// tree. It returns where everything is.
func Generate(dir string, rng *rand.Rand, creds []credential.Credential) (Truth, error) {
	return GenerateWith(dir, rng, creds, Options{})
}

// GenerateWith is Generate for any kind of installation. Only those of generation A are the same from
// call to call, byte for byte.
func GenerateWith(dir string, rng *rand.Rand, creds []credential.Credential, opts Options) (Truth, error) {
	b := newBuilder(rng, creds)
	b.opts = opts
	for i := range creds {
		if err := b.place(i); err != nil {
			return Truth{}, fmt.Errorf("generate installation: credential %d of kind %s: %w", i, creds[i].Kind, err)
		}
	}
	if opts.Varied {
		b.vary()
	}
	b.render()
	truth := Truth{Sources: b.sources, Shown: b.shown(), Story: b.story, StateDir: StateDir, More: b.unlisted}
	if opts.Varied {
		b.rename(&truth)
	}
	for _, name := range slices.Sorted(b.names()) {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return Truth{}, fmt.Errorf("generate installation: %w", err)
		}
		if err := os.WriteFile(at, []byte(b.files[name]), 0o600); err != nil {
			return Truth{}, fmt.Errorf("generate installation: %w", err)
		}
	}
	if err := b.writeDatabases(dir); err != nil {
		return Truth{}, fmt.Errorf("generate installation: %w", err)
	}
	return truth, nil
}

// builder collects what goes where before anything is written.
type builder struct {
	opts    Options
	rng     *rand.Rand
	creds   []credential.Credential
	sources [][]credential.Source
	files   map[string]string
	story   Story

	config, backup, profiles, models *node
	env, unit                        []assignment
	aws                              []profile
	users                            []ghUser
	inEnv                            map[int]bool
	taken                            map[string]int // how often a name was given away

	secrets  *node            // of the file that references lead to
	rows     map[string][]row // of the databases
	unlisted []Place
}

// assignment is one line NAME=value.
type assignment struct {
	name, value string
	cred        int // -1: none
}

type profile struct {
	name string
	cred int
}

type ghUser struct {
	name string
	cred int
}

func newBuilder(rng *rand.Rand, creds []credential.Credential) *builder {
	b := &builder{
		rng: rng, creds: creds, sources: make([][]credential.Source, len(creds)),
		files: map[string]string{}, inEnv: map[int]bool{}, taken: map[string]int{},
	}
	b.rows, b.secrets = map[string][]row{}, object()
	b.config = b.baseConfig()
	b.backup = object().set("meta.lastTouchedVersion", "2026.1.24").set("gateway.port", 18789).set("gateway.mode", "local")
	b.profiles = object().set("version", 1)
	b.models = object().set("providers", object())
	return b
}

// found records where a credential stands.
func (b *builder) found(cred int, file, locator string, line int) {
	if cred >= 0 {
		b.sources[cred] = append(b.sources[cred], credential.Source{Path: file, Locator: locator, Line: line})
	}
}

// fresh makes a name unique: "github", "github-2", "github-3".
func (b *builder) fresh(name, separator string) string {
	b.taken[name]++
	if n := b.taken[name]; n > 1 {
		return fmt.Sprintf("%s%s%d", name, separator, n)
	}
	return name
}

func (b *builder) names() func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range b.files {
			if !yield(name) {
				return
			}
		}
	}
}

// shown lists the credentials that stand in the state directory's .env, which the attacker read.
func (b *builder) shown() []int {
	var out []int
	for i := range b.creds {
		if b.inEnv[i] {
			out = append(out, i)
		}
	}
	return out
}

// render turns what was collected into files.
func (b *builder) render() {
	if b.opts.Varied {
		b.renderVaried()
	}
	b.renderJSON(path.Join(StateDir, "openclaw.json"), b.config, true)
	b.renderJSON(path.Join(StateDir, "openclaw.json.bak"), b.backup, false)
	b.renderJSON(path.Join(StateDir, "agents/main/agent/auth-profiles.json"), b.profiles, false)
	b.renderJSON(path.Join(StateDir, "agents/main/agent/models.json"), b.models, false)
	b.renderEnv(path.Join(StateDir, ".env"))
	b.renderUnit()
	b.renderAWS()
	b.renderHosts()
	b.texts()
	b.tell()
	b.lookalikes(b.opts.Lookalikes)
	if b.inDatabases() {
		b.fillDatabases()
	}
}

func (b *builder) renderEnv(name string) {
	w := &lines{}
	w.add("# Loaded by the gateway at start. Keep out of git!")
	for _, a := range b.env {
		b.found(a.cred, name, a.name, w.next())
		w.add("%s=%s", a.name, a.value)
		if a.cred < 0 && b.rng.IntN(3) == 0 {
			w.add("")
		}
	}
	b.files[name] = w.String()
}

func (b *builder) renderUnit() {
	w := &lines{}
	w.add("[Unit]\nDescription=OpenClaw Gateway\nAfter=network-online.target\nWants=network-online.target\n")
	w.add("[Service]\nExecStart=/usr/bin/node /usr/lib/node_modules/openclaw/dist/index.js gateway --port 18789")
	w.add("Restart=always\nRestartSec=5\nKillMode=control-group")
	w.add("Environment=HOME=/%s", Home)
	w.add("Environment=OPENCLAW_GATEWAY_PORT=18789")
	for _, a := range b.unit {
		b.found(a.cred, UnitFile, a.name, w.next())
		w.add("Environment=%s=%s", a.name, a.value)
	}
	w.add("\n[Install]\nWantedBy=default.target")
	b.files[UnitFile] = w.String()
}

func (b *builder) renderAWS() {
	name := Home + "/.aws/credentials"
	w := &lines{}
	for _, p := range b.aws {
		s := b.creds[p.cred].Secret
		w.add("[%s]", p.name)
		b.found(p.cred, name, p.name+".aws_access_key_id", w.next())
		w.add("aws_access_key_id = %s", s.Reveal("access_key_id"))
		w.add("aws_secret_access_key = %s", s.Reveal("secret_access_key"))
		if t := s.Reveal("session_token"); t != "" {
			w.add("aws_session_token = %s", t)
		}
		w.add("")
	}
	if len(b.aws) > 0 {
		b.files[name] = w.String()
		b.files[Home+"/.aws/config"] = "[default]\nregion = eu-central-1\noutput = json\n"
	}
}

// renderHosts writes hosts.yml as gh does: the token of the active user stands twice.
func (b *builder) renderHosts() {
	if len(b.users) == 0 {
		return
	}
	name := Home + "/.config/gh/hosts.yml"
	w := &lines{}
	w.add("github.com:\n    git_protocol: https\n    users:")
	for _, u := range b.users {
		w.add("        %s:", u.name)
		b.found(u.cred, name, `["github.com"].users.`+u.name+".oauth_token", w.next())
		w.add("            oauth_token: %s", b.creds[u.cred].Secret.Reveal("value"))
	}
	active := b.users[len(b.users)-1]
	w.add("    user: %s", active.name)
	b.found(active.cred, name, `["github.com"].oauth_token`, w.next())
	w.add("    oauth_token: %s", b.creds[active.cred].Secret.Reveal("value"))
	b.files[name] = w.String()
}

// lines is a text that knows how long it is.
type lines struct{ strings.Builder }

func (l *lines) add(format string, args ...any) {
	fmt.Fprintf(l, format, args...)
	l.WriteByte('\n')
}

// next is the number of the line that is added next.
func (l *lines) next() int { return strings.Count(l.String(), "\n") + 1 }
