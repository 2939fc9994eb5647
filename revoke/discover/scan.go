package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"clawback/forensics/agents"
	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

// What one search may take in. What lies beyond is a Problem, never silence.
const (
	maxFile      = 16 << 20  // bytes of one file
	maxTotal     = 512 << 20 // bytes of all files
	maxSecret    = 256 << 10 // bytes of one secret
	maxPerFile   = 10_000    // finds in one file
	maxHeuristic = 200       // finds that nothing but their format speaks for
	maxProblems  = 1_000
)

// ErrNoInstallation is returned where there is no installation of an agent below the root.
var ErrNoInstallation = errors.New("no OpenClaw installation found, nor one of another agent that is known")

// Options narrows a search.
type Options struct {
	// Installations to search; Locate finds them where there are none.
	Installations []openclaw.Installation
	// Databases reads the agent's databases. Without it they are only named: Summary.Deferred.
	Databases DatabaseReader
	// DatabasesOnly reports what stands in databases and nothing else, for a search that takes up
	// what another one deferred.
	DatabasesOnly bool
	// Everyone reads the files of other accounts too, which are otherwise only listed: Summary.Apart. It
	// is for a host that is itself compromised, where whoever came in could read them all.
	Everyone bool
	// Transcript is called for each entry of a transcript that stands in a database.
	Transcript func(at credential.Source, text string)
}

// Scan searches what the installations below root, and their accounts, keep their credentials in.
// It calls found at once for each place of a credential, the structured places first, always from
// the same goroutine. It runs nothing, calls nothing and reads nothing outside root. What cannot
// be read is a Problem of the Summary and does not end the search; the error is that of ctx, or
// ErrNoInstallation.
//
// A file outside the agent's own home is read only where the agent's account may read it: what
// another account keeps for itself is not the agent's, even where the agent links to it. Access
// control lists are not considered.
func Scan(ctx context.Context, root *os.Root, opts Options, found func(Found)) (Summary, error) {
	s := newScan(ctx, root, slices.Concat(places, databasePlaces), found)
	s.readDatabase, s.quiet, s.text, s.everyone = opts.Databases, opts.DatabasesOnly, opts.Transcript, opts.Everyone
	return s.run(opts.Installations)
}

func newScan(ctx context.Context, root *os.Root, rows []place, found func(Found)) *scan {
	patient := openclaw.Patiently(ctx, root, patienceOfPlaces)
	return &scan{ctx: ctx, root: patient, files: answering{rootTree{root}, patient}, expands: maxExpanded, found: found, places: rows, done: map[string]bool{}, reported: map[string]bool{}, known: map[string]class{}, beside: map[string]map[string]string{}, apart: map[string]bool{}, others: map[string]string{}, walked: map[walker]bool{}, logged: map[string]bool{}, now: time.Now()}
}

// scan is one search.
type scan struct {
	ctx     context.Context
	root    *openclaw.Patient
	found   func(Found)
	places  []place
	summary Summary

	agent      agent
	installed  []agent // all of them
	accounts   []openclaw.Account
	homes      []string
	done       map[string]bool              // resolved files that were searched
	reported   map[string]bool              // places, with what stands there
	known      map[string]class             // what a secret was taken for when it was first found
	beside     map[string]map[string]string // the parts of secrets that are no secrets themselves, by the kind and the secret
	perFile    int                          // finds in the present file
	guesses    int                          // finds by format alone
	identities []Found                      // what was found in its place, for where else it stands
	gaps       int                          // placeholders and examples
	apart      map[string]bool              // files of other accounts
	everyone   bool
	others     map[string]string // the owners of files that no agent may read, and that were read all the same
	now        time.Time
	walked     map[walker]bool // directories whose texts were searched
	logged     map[string]bool // logs elsewhere that were

	files        fileTree // in which texts are searched
	expands      int64    // bytes that a packed text may become
	heard        []entry  // of transcripts in databases
	heardBytes   int
	readDatabase DatabaseReader
	text         func(credential.Source, string)
	quiet        bool // what is found is remembered, and not reported
}

// walker is a directory as one account sees it.
type walker struct {
	uid int
	dir string
}

// class is what a secret is.
type class struct{ provider, kind string }

func (s *scan) run(installations []openclaw.Installation) (Summary, error) {
	if installations == nil {
		var problems []openclaw.Problem
		installations, problems = agents.Locate(s.root)
		s.summary.Problems = problems
	}
	if len(installations) == 0 {
		return s.summary, ErrNoInstallation
	}
	s.accounts, _ = openclaw.Accounts(s.root) // Locate has reported what is wrong with them
	s.homes, _ = openclaw.Homes(s.root)
	s.installed = make([]agent, len(installations))
	for i, in := range installations {
		s.installed[i] = newAgent(in, s.accounts)
		s.summary.Agents = append(s.summary.Agents, Agent{s.installed[i].layout.Title, in.StateDir, cmp.Or(clean(in.User, 64), s.accountName(in.UID))})
	}
	passes := []func(){s.searchConfig, s.searchState, s.searchHomes, s.searchBackups, s.searchRest, s.searchMachine, s.searchTexts}
	if s.quiet {
		passes = []func(){s.searchConfig, s.searchDatabases, s.searchTexts} // the configuration, because databases refer to it
	}
	for _, pass := range passes {
		for _, a := range s.installed {
			s.agent = a
			pass()
		}
	}
	s.summary.Apart = slices.DeleteFunc(s.summary.Apart, func(p openclaw.Problem) bool { // one agent's is not apart for another
		at, err := openclaw.Resolve(s.root, p.Path)
		return err == nil && s.done[at]
	})
	s.silence()
	return s.summary, s.ctx.Err()
}

// problem takes down what could not be read. Nothing to read is no problem.
func (s *scan) problem(name string, err error) {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return
	case errors.Is(err, syscall.ESRCH): // of /proc alone: a process ended while it was looked at
		return
	case errors.Is(err, openclaw.ErrSilent): // reported once for all that lies there
		return
	}
	s.note(openclaw.ProblemOf(name, err))
}

func (s *scan) note(p openclaw.Problem) {
	if s.quiet {
		return
	}
	switch n := len(s.summary.Problems); {
	case n < maxProblems:
		s.summary.Problems = append(s.summary.Problems, p)
	case n == maxProblems:
		s.summary.Problems = append(s.summary.Problems, openclaw.Problem{Path: p.Path, Reason: "more problems than are listed"})
	}
}

// open reads a file that was not searched before: at most maxFile bytes of it. It returns the
// name under which the file's finds are reported.
func (s *scan) open(name string) (at string, data []byte, ok bool) {
	at, ok = s.admit(name)
	if !ok {
		return "", nil, false
	}
	if s.summary.Bytes > maxTotal {
		s.note(openclaw.Problem{Path: name, Reason: fmt.Sprintf("not searched: more than %d bytes were searched before it", maxTotal)})
		return "", nil, false
	}
	f, err := openclaw.Open(s.root, at)
	if err != nil {
		s.problem(name, err)
		return "", nil, false
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		s.problem(name, err)
	}
	if len(data) > maxFile {
		data = data[:maxFile]
		s.note(openclaw.Problem{Path: name, Reason: fmt.Sprintf("longer than %d bytes: the rest was not searched", maxFile)})
	}
	s.summary.Files++
	s.summary.Bytes += int64(len(data))
	s.perFile = 0
	return at, data, true
}

// admit resolves a name, and reports whether the file is still to be searched and the agent's to read.
func (s *scan) admit(name string) (at string, ok bool) {
	if s.ctx.Err() != nil {
		return "", false
	}
	at, err := openclaw.Resolve(s.root, name)
	if err != nil {
		s.problem(name, err)
		return "", false
	}
	if s.done[at] {
		return "", false
	}
	if !s.agent.given[at] && !s.mayRead(at) && !s.takeOther(at) {
		s.setApart(at, name, "a file that the agent's settings lead to")
		return "", false
	}
	s.done[at] = true
	return at, true
}

// candidate is a value that may be a credential, with what its place says of it.
type candidate struct {
	provider, kind string
	parts          map[string]string // by the names of the kind's parts, or "value" alone
	ref            map[string]string
	source         credential.Source
	owner          string
	endpoint       string
	expires        time.Time
	lastUsed       time.Time
	unresolved     string
	guessed        bool // nothing but the format speaks for it
	doubt          Doubt
}

// value is the part that a candidate's kind is told by.
func (c candidate) value() string {
	for _, part := range []string{"value", "access_key_id", "secret_access_key", "refresh", "secret_id", "client_secret", "private_key"} {
		if v := c.parts[part]; v != "" {
			return v
		}
	}
	return ""
}

// shownOwner is the owner, unless a secret stands in its place.
func (c candidate) shownOwner() string {
	_, secret := credential.Recognize(c.owner)
	for name, part := range c.parts {
		secret = secret || part == c.owner && !companionPart(c.kind, name)
	}
	if secret {
		return ""
	}
	return clean(c.owner, 200)
}

// report hands a candidate to the caller, unless it holds nothing.
func (s *scan) report(c candidate) {
	here := c.source.Path + "\x00" + locate(c.source) + "\x00" + c.value()
	if s.ctx.Err() != nil || s.reported[here] {
		return
	}
	s.identify(&c)
	if !s.worth(c) {
		return
	}
	s.reported[here] = true
	if c.unresolved == "" {
		c.provider, c.kind = s.remember(c)
		s.whole(&c)
	} else {
		c.provider, c.kind = classify(c.provider, c.kind, "")
	}
	f := Found{
		Provider: c.provider, Kind: c.kind, Secret: credential.NewSecret(c.parts), Ref: c.ref, Source: c.source,
		Owner: c.shownOwner(), Expires: c.expires, LastUsed: c.lastUsed, Unresolved: c.unresolved, Endpoint: c.endpoint, Doubt: c.doubt, Other: s.others[c.source.Path],
	}
	if len(s.identities) < maxPerFile && !c.doubt.Harmless() {
		s.identities = append(s.identities, f)
	}
	if !s.quiet {
		s.emit(f)
	}
}

// emit hands a find to the caller.
func (s *scan) emit(f Found) {
	if s.ctx.Err() == nil {
		s.summary.Found++
		s.found(f)
	}
}

// worth reports whether a candidate is to be handed on, and says so where only a bound forbids it.
func (s *scan) worth(c candidate) bool {
	if c.unresolved == "" {
		for _, v := range c.parts {
			if len(v) > maxSecret {
				s.note(openclaw.Problem{Path: c.source.Path, Reason: fmt.Sprintf("the value at %s is longer than %d bytes: left out", locate(c.source), maxSecret)})
				return false
			}
		}
		if strings.TrimSpace(c.value()) == "" {
			return false
		}
		if c.doubt.Harmless() {
			if s.gaps++; s.gaps > maxHeuristic {
				return false // the search is for secrets
			}
		}
	}
	if c.guessed {
		if s.guesses++; s.guesses > maxHeuristic {
			if s.guesses == maxHeuristic+1 {
				s.note(openclaw.Problem{Path: c.source.Path, Reason: fmt.Sprintf("more than %d values look like secrets in places where none belong: the rest was left out", maxHeuristic)})
			}
			return false
		}
	}
	if s.perFile++; s.perFile > maxPerFile {
		if s.perFile == maxPerFile+1 {
			s.note(openclaw.Problem{Path: c.source.Path, Reason: fmt.Sprintf("more than %d secrets in one file: the rest was left out", maxPerFile)})
		}
		return false
	}
	return true
}

// remember makes a secret that stands in several places the same credential in all of them: where
// a place tells less than an earlier one, the earlier one holds. A setting for another provider does
// not tell less than a token of the gateway: whoever plants a key as that would have it pass for dead.
func (s *scan) remember(c candidate) (provider, kind string) {
	value := c.value()
	provider, kind = c.provider, c.kind
	if c.parts["access_key_id"] == "" {
		provider, kind = classify(c.provider, c.kind, value)
	}
	before, ok := s.known[value]
	variable := c.source.Locator == strings.ToUpper(c.source.Locator) // whose name is a guess at its provider
	if ok && kind == unknown && (before.provider != "openclaw" || provider == "openclaw" || provider == unknown || variable) {
		return before.provider, before.kind
	}
	if (!ok || kind != unknown) && !c.doubt.Harmless() { // a gap is the same in many places
		s.known[value] = class{provider, kind}
	}
	return provider, kind
}

// locate tells where in its file a source stands.
func locate(s credential.Source) string {
	if s.Locator != "" {
		return s.Locator
	}
	return fmt.Sprintf("line %d", s.Line)
}

// glob lists the paths below base that a pattern of literal names and "*" leads to, sorted.
func (s *scan) glob(base, pattern string) []string {
	found := []string{base}
	for part := range strings.SplitSeq(pattern, "/") {
		var next []string
		for _, dir := range found {
			if !strings.Contains(part, "*") {
				next = append(next, path.Join(dir, part))
				continue
			}
			for _, name := range s.list(dir) {
				if ok, _ := path.Match(part, name); ok {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return found
}
