package discover

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

// where a file of the table lies.
type where int

const (
	inState where = iota
	inHome
	inWorkspace
	onMachine
)

// whereIs splits a file of the table into where it lies and its path there.
func whereIs(file string) (where, string) {
	for prefix, w := range map[string]where{"~/": inHome, "workspace/": inWorkspace, "/": onMachine} {
		if rest, ok := strings.CutPrefix(file, prefix); ok {
			return w, rest
		}
	}
	return inState, file
}

// isEnvironment reports whether a file of the table sets the environment of a process: such files
// are read before all others, which refer to them.
func isEnvironment(file string) bool {
	base := path.Base(file)
	return strings.HasPrefix(base, ".env") || base == "environ" || strings.Contains(file, ".service") || strings.Contains(file, ".container")
}

// searchTable searches the files of the table that lie in one of the given directories.
func (s *scan) searchTable(w where, dirs ...string) {
	seen := map[string]bool{configFile: true, databaseFile: true}
	for _, row := range s.places {
		at, rest := whereIs(row.file)
		if at != w || seen[row.file] || isEnvironment(row.file) {
			continue
		}
		seen[row.file] = true
		for _, dir := range dirs {
			if w == inHome && dir == "." && s.agent.Home != "." && strings.HasPrefix(rest, "*") {
				continue // a machine's root is the home of accounts without one, and no folder of theirs
			}
			for _, name := range s.glob(dir, rest) {
				if w == inState || w == inWorkspace || dir == s.agent.Home || s.readable(row, name) {
					s.searchFile(row, name)
				}
			}
		}
	}
}

// readable reports whether the agent's account may read a file outside its home. What it may not is
// listed apart, with what it is and why.
func (s *scan) readable(row place, name string) bool {
	at, err := openclaw.Resolve(s.root, name)
	if err != nil {
		return false
	}
	if s.agent.given[at] || s.mayRead(at) || s.takeOther(at) {
		return true
	}
	if info, err := s.root.Lstat(at); err == nil && !info.IsDir() && !s.done[at] && row.holds != aMachine {
		s.setApart(at, name, placeCredential(row))
	}
	return false
}

// searchFile searches one file by the rows of the table for it.
func (s *scan) searchFile(row place, name string) {
	switch row.holds {
	case aKey:
		s.privateKey(row, name)
		return
	case aThing, aSocket, aDatabase:
		s.thing(row, name)
		return
	case aMachine:
		s.machine(row, name)
		return
	}
	if strings.HasPrefix(row.file, "~/.aws/") && !strings.HasSuffix(row.file, ".json") {
		if at, data, ok := s.open(name); ok {
			s.awsFile(at, parseINI(string(data)))
		}
		return
	}
	if strings.Contains(row.file, "compose") {
		s.composeFiles(name)
	}
	s.searchAs(row.file, name)
}

// searchAs reads a file as one of the table is read, whatever its name.
func (s *scan) searchAs(file, name string) {
	var d *document
	var ok bool
	if read := formatOf(file); read != nil {
		if !s.regular(name) {
			return
		}
		d, ok = s.loadAs(name, read)
	} else {
		d, ok = s.load(name, nil)
	}
	if !ok {
		return
	}
	if strings.HasSuffix(name, ".bak") {
		d.note = "backup copy"
	}
	if w, _ := whereIs(file); w == inState {
		s.document(d, file, "", s.lastUsed(path.Join(path.Dir(name), "auth-state.json")))
		return
	}
	s.document(d, file, "", nil)
}

// regular reports whether a name leads to what is no directory: a pattern may match one.
func (s *scan) regular(name string) bool {
	at, err := openclaw.Resolve(s.root, name)
	if err != nil {
		s.problem(name, err)
		return false
	}
	info, err := s.root.Lstat(at)
	return err == nil && !info.IsDir()
}

// thing reports what is a credential by being there, without its values.
func (s *scan) thing(row place, name string) {
	at, err := openclaw.Resolve(s.root, name)
	if err != nil {
		s.problem(name, err)
		return
	}
	info, err := s.root.Lstat(at)
	if err != nil || info.IsDir() || s.done[at] || row.holds == aSocket && info.Mode()&fs.ModeSocket == 0 {
		return
	}
	s.done[at] = true
	why := "its sessions were not read: end them at each service"
	switch row.holds {
	case aDatabase:
		if s.readDatabase != nil {
			s.gcloud(name, at)
			return
		}
		s.note(openclaw.Problem{Path: name, Reason: "a database that may hold credentials: not understood, look at it by hand"})
		return
	case aSocket:
		why = "a socket, not used: whoever may write to it signs with its keys"
	}
	s.report(candidate{provider: row.provider, kind: row.kind, unresolved: why, ref: map[string]string{"id": clean(at, 300)}, source: credential.Source{Path: at, Line: 1}})
}

// machine reports that the machine itself has an identity, which its cloud hands to whoever asks
// there. The file says which cloud; nobody is asked.
func (s *scan) machine(row place, name string) {
	data, err := openclaw.ReadFile(s.root, name, 4<<10)
	if err != nil {
		s.problem(name, err)
		return
	}
	if strings.TrimSpace(string(data)) != row.path {
		return
	}
	s.report(candidate{provider: row.provider, kind: row.kind, ref: map[string]string{"id": "instance role of this machine"},
		unresolved: "a role that the cloud gives to the machine: detach it, or end its sessions", source: credential.Source{Path: name, Line: 1}})
}

// privateKey reports a key that stands in a file of its own, and leaves alone what is none.
func (s *scan) privateKey(row place, name string) {
	if !s.regular(name) {
		return
	}
	at, data, ok := s.open(name)
	if !ok || !bytes.Contains(data[:min(len(data), 64<<10)], []byte("PRIVATE KEY-----")) {
		return
	}
	c := candidate{provider: row.provider, kind: row.kind, source: credential.Source{Path: at, Line: 1}, ref: map[string]string{}}
	k := readPrivateKey(data)
	c.parts = map[string]string{"value": strings.TrimSpace(string(data))}
	if k.encrypted {
		c.source.Note = "encrypted with a passphrase"
	}
	if public, err := openclaw.ReadFile(s.root, at+".pub", 64<<10); err == nil {
		if blob, comment, ok := publicKey(string(public)); ok {
			c.owner = comment
			if k.public == nil {
				k.public = blob
			}
		}
	}
	if k.public != nil {
		c.ref["public_key"] = sshFingerprint(k.public)
	}
	s.report(c)
}

// login reads what stands as base64 of login:password.
func login(text string) (user, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(strings.TrimSpace(text))
	}
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(raw), ":")
	return user, strings.TrimRight(password, "\x00"), ok && password != ""
}

// about adds what the file of a leaf tells of it: whose it is and where it is valid.
func (r *reader) about(l leaf, row place, c *candidate) {
	step := func(i int) string {
		if i < len(l.path) {
			return l.path[i].Key
		}
		return ""
	}
	owner := func(object string, keys ...string) {
		for _, k := range keys {
			if who, ok := r.sibling(object, k); ok && who.str && c.owner == "" {
				c.owner = who.text
			}
		}
	}
	owner(l.parent(), "email", "client_email", "account", "login", "userId")
	switch {
	case row.file == "~/.config/gh/hosts.yml":
		if host := step(0); host != "github.com" {
			c.endpoint = origin("https://" + host)
		}
		if c.owner = step(2); step(1) != "users" {
			c.owner = ""
			owner(l.parent(), "user")
		}
	case strings.HasSuffix(row.file, "/.netrc"), strings.HasSuffix(row.file, "credentials") && row.kind == "login.password":
		host, _, _ := strings.Cut(step(0), " (") // of several logins
		if p := gitHost(host); p != "" {
			c.provider, c.kind = classify(p, unknown, l.text)
		}
		if user, ok := r.sibling(l.parent(), "login"); ok && deployUser.MatchString(user.text) {
			c.provider, c.kind = "gitlab", "gitlab.deploy_token"
		}
		// Conjur's own client keeps its login so: https://github.com/cyberark/conjur-cli-go
		if host := strings.TrimRight(host, "/"); strings.HasPrefix(host, "https://") && strings.HasSuffix(host, "/authn") {
			c.provider, c.kind, c.endpoint = "conjur", "conjur.api_key", origin(host)
		}
		if c.endpoint == "" {
			c.endpoint = origin("https://" + host)
		}
	case row.kind == "whatsapp.device":
		owner(objectName([]json5.Step{key("me")}), "id", "name")
	case row.file == "~/.config/glab-cli/config.yml":
		r.aboutGlab(l, step(1), c)
	case row.file == "~/.azure/msal_token_cache.json":
		account, _ := r.sibling(l.parent(), "home_account_id")
		c.owner = r.userOf(account.text)
		if _, tells := jwtClaims(l.text); c.owner == "" && !tells {
			c.owner = account.text
		}
	case row.file == "~/.pgpass":
		owner(l.parent(), "user")
		host, _, _ := strings.Cut(step(0), ":")
		c.endpoint = origin("postgres://" + host)
	case row.file == "~/.npmrc", row.file == "~/.docker/config.json" && step(0) == "auths":
		if host := step(len(l.path) - 2); strings.Contains(host, ".") {
			c.endpoint = origin("https://" + strings.TrimPrefix(host, "https://"))
		}
	case strings.HasPrefix(row.provider, "kubernetes") && len(l.path) > 2:
		owner(objectName(l.path[:2]), "name")
		c.endpoint = r.onlyServer()
	}
}

// onlyServer is the address of a kubeconfig's cluster, where there is one cluster.
func (r *reader) onlyServer() (address string) {
	if r.servers == nil {
		r.servers = map[string]bool{}
		for _, l := range r.doc.leaves {
			if len(l.path) == 4 && l.key() == "server" {
				r.servers[origin(l.text)] = true
			}
		}
	}
	if len(r.servers) != 1 {
		return ""
	}
	return sortedKeys(r.servers)[0]
}

// composeFiles searches the files of variables that a Compose file names for its services. Each agent
// looks for itself, also where another one has searched the Compose file: it may read other files.
// Source: https://docs.docker.com/reference/compose-file/services/#env_file
func (s *scan) composeFiles(name string) {
	at, err := openclaw.Resolve(s.root, name)
	if err != nil || !s.regular(name) {
		return
	}
	data, err := openclaw.ReadFile(s.root, at, maxYAML)
	if err != nil || !s.mayRead(at) {
		return // said when the file itself is searched
	}
	leaves, _ := readCompose(data)
	more := []string{path.Join(path.Dir(at), ".env")}
	for _, l := range leaves {
		if n := len(l.path); n > 2 && l.path[0].Key == "services" && l.path[2].Key == "env_file" && (n < 5 || l.key() == "path") && len(more) < maxEnvFiles {
			more = append(more, s.agent.hostPath(l.text, path.Dir(at)))
		}
	}
	for _, name := range more {
		if at, data, ok := s.open(name); ok {
			all := parseDotenv(string(data))
			for _, v := range all {
				if _, set := s.agent.env[v.name]; !set && !v.comment && v.value != "" {
					s.agent.env[v.name] = resolved{v.value, at, v.line}
				}
			}
			s.settings(at, all)
		}
	}
}

// takeOther reports whether a file is to be read although the agent's account may not, and remembers
// whose it is, unless it is another agent's.
func (s *scan) takeOther(at string) bool {
	if !s.everyone {
		return false
	}
	now := s.agent
	defer func() { s.agent = now }()
	for _, s.agent = range s.installed {
		if s.mayRead(at) {
			return true
		}
	}
	s.others[at] = "?"
	if info, err := s.root.Lstat(at); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			s.others[at] = s.accountName(int(st.Uid))
		}
	}
	return true
}

// setApart lists a file that the agent's account may not read, with what it is.
func (s *scan) setApart(at, name, what string) {
	if s.apart[at] || len(s.summary.Apart) >= maxProblems {
		return
	}
	s.apart[at] = true
	s.summary.Apart = append(s.summary.Apart, openclaw.Problem{Path: name, Reason: fmt.Sprintf("%s%s: the agent's account may not read it: left alone, revoke it if the host is lost", what, s.access(at))})
}
