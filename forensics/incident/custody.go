package incident

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"clawback/forensics/journal"
)

// The entries of who had evidence, and what was done so that nobody can change it unnoticed. With
// TypeDeclared, TypeDescribed, TypeSealed and TypeResumed they are the custody log.
const (
	TypeStamped   = "evidence.stamped"   // Stamped
	TypeDeposited = "evidence.deposited" // Deposited
	TypeTransfer  = "custody.transfer"   // Transfer
	TypeAccess    = "custody.access"     // Access
	TypeHold      = "custody.hold"       // Hold
)

// Stamped is what a time stamping authority said of a package, or why it said nothing.
type Stamped struct {
	Item      string    `json:"item"`           // see CustodyItem
	Package   string    `json:"package_sha256"` // that was stamped
	File      string    `json:"file,omitempty"` // the response, RFC 3161, below the incident's folder
	SHA256    string    `json:"sha256,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	By        string    `json:"by,omitempty"` // subject of the certificate that signed it
	Policy    string    `json:"policy,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	Authority string    `json:"authority"` // its URL
	Error     string    `json:"error,omitempty"`
	Hint      string    `json:"hint,omitempty"`
}

// Deposited is what became of putting a package and what belongs to it in one place.
type Deposited struct {
	Item    string          `json:"item"`
	Package string          `json:"package_sha256"`
	Kind    string          `json:"kind"`  // "directory", "s3"
	Place   string          `json:"place"` // of the incident's folder there
	Files   []DepositedFile `json:"files,omitempty"`
	By      string          `json:"by"`
	Error   string          `json:"error,omitempty"`
	Hint    string          `json:"hint,omitempty"`
}

// DepositedFile is a file that lies in a place, as it was read back from there.
type DepositedFile struct {
	Name     string    `json:"name"`
	SHA256   string    `json:"sha256"` // of what was read back
	Bytes    int64     `json:"bytes"`
	Version  string    `json:"version,omitempty"` // of the object, where the place has versions
	Until    time.Time `json:"retained_until,omitzero"`
	Hold     bool      `json:"legal_hold,omitempty"`    // the place says that it is under one
	Before   bool      `json:"already_there,omitempty"` // with the same content
	Proof    []string  `json:"proof"`
	Unproved []string  `json:"unproved,omitempty"`
}

// Unproved lists what was not proved of any file.
func (d Deposited) Unproved() (list []string) {
	for _, f := range d.Files {
		for _, what := range f.Unproved {
			list = append(list, f.Name+": "+what)
		}
	}
	return list
}

// Transfer is an item that went from one person to another.
type Transfer struct {
	Item    string    `json:"item"`
	From    string    `json:"from"` // "Name, role"
	To      string    `json:"to"`
	Purpose string    `json:"purpose"`
	At      time.Time `json:"at"` // by whom writes it down
	By      string    `json:"by"` // who writes it down
}

// Access is somebody who looked at an item.
type Access struct {
	Item    string    `json:"item"`
	Who     string    `json:"who"` // "Name, role"
	Purpose string    `json:"purpose"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
}

// Hold is a legal hold over all evidence of the incident, or its end.
type Hold struct {
	On  bool   `json:"on"`
	By  string `json:"by"`
	Why string `json:"why"`
}

// CustodyItem is a package of evidence with all that is on record of who had it. Its fields are those
// that NIST SP 800-86 and SWGDE want of a custody log.
type CustodyItem struct {
	Item        string    `json:"item"` // "files"; the second that was taken of a part is "files-2"
	Case        string    `json:"case"`
	Source      string    `json:"source"`      // the machine that it is of
	Claimed     string    `json:"source_name"` // as the machine calls itself, by its own claim
	Acquisition string    `json:"acquisition"` // in which way it was taken
	Tool        string    `json:"tool"`
	At          time.Time `json:"acquired"` // when it was sealed at the desk, by the desk's clock, UTC
	ClockAhead  int64     `json:"source_clock_ahead_ms"`
	By          string    `json:"by"`
	Role        string    `json:"role"`
	Desk        string    `json:"desk"`
	Custodian   string    `json:"custodian"` // who has it by the newest transfer; who took it, without one
	Evidence    Sealed    `json:"evidence"`  // its hashes, and what went wrong
	Errors      []string  `json:"errors"`
	Replaced    bool      `json:"replaced,omitempty"` // it was found broken and set aside; another was taken in its place

	Events []CustodyEvent `json:"events"`
}

// CustodyEvent is one line of a custody log.
type CustodyEvent struct {
	Entry   uint64    `json:"entry"` // of the record
	Written time.Time `json:"written"`
	At      time.Time `json:"at"`
	What    string    `json:"what"` // "sealed", "stamped", "deposited", "transferred", "accessed", "held", "released"
	By      string    `json:"by"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Purpose string    `json:"purpose,omitempty"`
	Text    string    `json:"text,omitempty"`
	Error   string    `json:"error,omitempty"` // it did not come to be, or not as it should

	Stamped   *Stamped   `json:"stamp,omitempty"`
	Deposited *Deposited `json:"deposit,omitempty"`
}

// Custody is what is on record of all evidence.
type Custody struct {
	Items []*CustodyItem
	Hold  *Hold // nil where nobody ever put it under one, or let go of it
	Holds []CustodyEvent

	by, version string // who runs the response, with what
}

// Held reports whether the evidence is under a legal hold.
func (c Custody) Held() bool { return c.Hold != nil && c.Hold.On }

// Item is the newest package of that name, or nil.
func (c Custody) Item(name string) *CustodyItem {
	for _, i := range slices.Backward(c.Items) {
		if i.Item == name {
			return i
		}
	}
	return nil
}

// ItemName is what a package is called in a custody log: the name of its file without what says how
// it was packed.
func ItemName(s Sealed) string {
	name, _, _ := strings.Cut(path.Base(s.Path), ".")
	return cmp.Or(name, s.Part)
}

// Stamp is the newest time stamp of the package as it is, or nil.
func (i *CustodyItem) Stamp() *Stamped {
	for _, e := range slices.Backward(i.Events) {
		if e.Stamped != nil && e.Error == "" && e.Stamped.Package == i.Evidence.Package {
			return e.Stamped
		}
	}
	return nil
}

// deposited reports whether all evidence lies, as it should, in each place where that was tried, by the
// newest try there, and whether anything was tried since then: what failed before it was tried shows in none.
func (c Custody) deposited(since time.Time) bool {
	again := false
	for _, i := range c.Items {
		if i.Replaced {
			continue
		}
		newest := map[string]string{} // error by place
		for _, e := range i.Events {
			if e.Deposited != nil {
				newest[e.To] = e.Error
				again = again || e.Written.After(since)
			}
		}
		if len(newest) == 0 {
			return false
		}
		for _, failed := range newest {
			if failed != "" {
				return false
			}
		}
	}
	return again
}

// open is what was tried for the evidence, and did not come to be.
func (c Custody) open() (open []OpenMatter) {
	for _, i := range c.Items {
		if i.Replaced || i.Stamp() != nil {
			continue
		}
		for _, e := range slices.Backward(i.Events) {
			if e.Stamped != nil {
				open = append(open, OpenMatter{Kind: MatterEvidence, What: "the time stamp of the " + i.Item + " evidence", Why: e.Error, Hint: e.Stamped.Hint})
				break
			}
		}
	}
	return open
}

// foldCustody takes in what changes custody. The entries that it shares with others are folded there.
func (s *State) foldCustody(e journal.Entry) error {
	switch e.Type {
	case TypeDeclared:
		s.Custody.by, s.Custody.version = s.Declared.Responder, s.Declared.Version
		return nil
	case TypeResumed:
		r := s.Resumed[len(s.Resumed)-1]
		s.Custody.by, s.Custody.version = r.By, r.Version
		return nil
	case TypeSealed:
		return s.takenIn(e)
	case TypeHold:
		return s.foldHold(e)
	}
	event, item, err := custodyEvent(e)
	if err != nil {
		return err
	}
	i := s.Custody.Item(item)
	if i == nil {
		return fmt.Errorf("entry %d (%s): there is no evidence %q", e.Seq, e.Type, item)
	}
	i.Events = append(i.Events, event)
	if event.What == "transferred" {
		i.Custodian = event.To
	}
	return nil
}

func (s *State) takenIn(e journal.Entry) error {
	var sealed Sealed
	if err := e.Decode(&sealed); err != nil {
		return err
	}
	d := s.Declared
	role := s.role(s.Custody.by)
	item := &CustodyItem{
		Item: ItemName(sealed), Case: d.Incident, Source: d.Target, Acquisition: acquisition(d), Tool: "clawback " + s.Custody.version,
		At: e.Time.UTC(), By: s.Custody.by, Role: role, Desk: d.Desk, Custodian: s.Custody.by + ", " + role, Evidence: sealed,
		Errors: slices.Concat([]string{}, sealed.Problems),
		Events: []CustodyEvent{{Entry: e.Seq, Written: e.Time.UTC(), At: e.Time.UTC(), What: "sealed", By: s.Custody.by,
			Text: fmt.Sprintf("%s, %s", plural(sealed.Files, "file", "files"), size(sealed.Bytes))}},
	}
	if n := len(s.Resumed); n > 0 {
		item.Desk = s.Resumed[n-1].Desk
	}
	if s.Host != nil {
		item.Claimed, item.ClockAhead = s.Host.Hostname, s.Host.ClockAheadMS
	}
	for _, left := range sealed.Left {
		item.Errors = append(item.Errors, "left out: "+left)
	}
	if sealed.Early {
		item.Errors = append(item.Errors, "the capture was ended early: what came after is not in it")
	}
	if before := s.Custody.Item(item.Item); before != nil {
		before.Replaced = true
	}
	s.Custody.Items = append(s.Custody.Items, item)
	return nil
}

// acquisition says in which way evidence was taken. All of it is logical: files as the system shows
// them, no image of a disk.
func acquisition(d Declared) string {
	switch {
	case d.Mode == Drill:
		return "logical, from the made-up machine of a drill"
	case d.Remote:
		return "logical, live: files and state of a running machine, read by a program on it and sent over SSH"
	case strings.HasPrefix(d.Target, "/"):
		return "logical, of what lies below " + d.Target + ", which this desk has mounted or holds"
	}
	return "logical, live, of this desk itself, which is the machine under suspicion"
}

// role is what a person is in the response, as far as somebody said.
func (s *State) role(person string) string {
	var roles []string
	for role, who := range s.Declared.Roles {
		if who == person {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return cmp.Or(strings.Join(roles, " and "), "responder")
}

func (s *State) foldHold(e journal.Entry) error {
	h := new(Hold)
	if err := e.Decode(h); err != nil {
		return err
	}
	s.Custody.Hold = h
	event := CustodyEvent{Entry: e.Seq, Written: e.Time.UTC(), At: e.Time.UTC(), What: "held", By: h.By, Purpose: h.Why}
	if !h.On {
		event.What = "released"
	}
	s.Custody.Holds = append(s.Custody.Holds, event)
	return nil
}

// custodyEvent is an entry as a line of the log of an item.
func custodyEvent(e journal.Entry) (event CustodyEvent, item string, err error) {
	event = CustodyEvent{Entry: e.Seq, Written: e.Time.UTC(), At: e.Time.UTC()}
	switch e.Type {
	case TypeStamped:
		v := new(Stamped)
		err = e.Decode(v)
		event.What, event.By, event.Text, event.Error, event.Stamped = "stamped", v.By, stampText(*v), v.Error, v
		return event, v.Item, err
	case TypeDeposited:
		v := new(Deposited)
		err = e.Decode(v)
		event.What, event.By, event.To, event.Text, event.Deposited = "deposited", v.By, v.Place, depositText(*v), v
		event.Error = cmp.Or(v.Error, strings.Join(v.Unproved(), "; "))
		return event, v.Item, err
	case TypeTransfer:
		var v Transfer
		err = e.Decode(&v)
		event.What, event.By, event.From, event.To, event.Purpose, event.At = "transferred", v.By, v.From, v.To, v.Purpose, v.At.UTC()
		return event, v.Item, err
	}
	var v Access
	err = e.Decode(&v)
	event.What, event.By, event.To, event.Purpose, event.At = "accessed", v.By, v.Who, v.Purpose, v.At.UTC()
	return event, v.Item, err
}

func stampText(v Stamped) string {
	if v.Error != "" {
		return "asked " + v.Authority
	}
	return fmt.Sprintf("it existed on %s, says %s (%s); kept as %s", v.Time.UTC().Format(time.RFC3339), v.By, v.Authority, v.File)
}

func depositText(v Deposited) string {
	text := v.Kind
	if len(v.Files) == 0 {
		return text
	}
	text += ", " + plural(len(v.Files), "file", "files") + " read back and compared"
	first := v.Files[0].Until
	for _, f := range v.Files {
		if f.Until.Before(first) {
			first = f.Until
		}
	}
	if !first.IsZero() {
		text += ", locked until " + first.UTC().Format(time.DateOnly)
	}
	return text
}

// custodyLine is an entry about custody as a line of a log.
func custodyLine(e journal.Entry) (string, string, bool) {
	if e.Type == TypeHold {
		h, ok := decoded[Hold](e)
		if h.On {
			return "LEGAL HOLD", "by " + h.By + ": " + h.Why, ok
		}
		return "released", "the legal hold, by " + h.By + ": " + h.Why, ok
	}
	event, item, err := custodyEvent(e)
	word, text := event.What, item+" evidence"
	if event.Error != "" {
		word = map[string]string{"stamped": "NOT STAMPED", "deposited": "NOT DEPOSITED"}[word]
		if event.Deposited != nil && event.Deposited.Error == "" {
			word = "UNPROVED"
		}
	}
	if event.From != "" {
		text += " from " + event.From
	}
	if event.What == "accessed" {
		text += " by " + event.To
	} else if event.To != "" {
		text += " to " + event.To
	}
	for _, more := range []string{event.Purpose, event.Text, event.Error} {
		if more != "" {
			text += ": " + more
		}
	}
	return word, text, err == nil
}

// Fields are an item's name and value pairs, as custody forms have them.
func (i *CustodyItem) Fields() (rows [][2]string) {
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	add("Case", "%s", i.Case)
	source := i.Source
	if i.Claimed != "" {
		skew := fmt.Sprintf("%d ms ahead of", i.ClockAhead)
		if i.ClockAhead < 0 {
			skew = fmt.Sprintf("%d ms behind", -i.ClockAhead)
		}
		source += fmt.Sprintf(" (which calls itself %s; its clock was %s the desk's)", i.Claimed, skew)
	}
	add("Source", "%s", source)
	add("Acquisition", "%s", i.Acquisition)
	add("Tool", "%s", i.Tool)
	add("Acquired", "%s, by %s, %s, at %s", i.At.Format(time.RFC3339), i.By, i.Role, i.Desk)
	e := i.Evidence
	add("Evidence", "%s: %s, %d bytes", e.Path, plural(e.Files, "file", "files"), e.Bytes)
	if e.Package != "" {
		add("SHA-256", "%s", e.Package)
	}
	add("Manifest", "%s (SHA-256 of the list of its files)", e.Manifest)
	add("Digest", "%s (SHA-256 of its tag manifest)", e.Digest)
	if len(i.Errors) == 0 {
		add("Errors", "none")
	}
	for _, text := range i.Errors {
		add("Error", "%s", text)
	}
	add("Custodian", "%s", i.Custodian)
	return rows
}

// String is the event in one line, without its time.
func (e CustodyEvent) String() string {
	text := e.What
	if e.From != "" {
		text += " from " + e.From
	}
	switch {
	case e.What == "accessed":
		text += " by " + e.To
	case e.To != "":
		text += " to " + e.To
	}
	if e.What == "sealed" || e.What == "deposited" {
		text += " by " + e.By
	}
	for _, more := range []string{e.Purpose, e.Text} {
		if more != "" {
			text += ": " + more
		}
	}
	if e.Error != "" {
		text += "; FAILED or not proved: " + e.Error
	}
	if e.What == "transferred" || e.What == "accessed" {
		text += fmt.Sprintf("; written down by %s on %s", e.By, e.Written.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s (entry %d)", text, e.Entry)
}
