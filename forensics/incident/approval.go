package incident

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"clawback/forensics/journal"
)

// ApprovalAsked says that a step waits for people who approve it.
type ApprovalAsked struct {
	Step  string `json:"step"`
	Needs int    `json:"needs"` // different people, none of them the one who asks
	Binds string `json:"binds"` // what an approval has to name: the digest of the plan and the step
	By    string `json:"by"`    // who asks
}

// Approved is one person's approval of a step. Message and Signature are what they signed, so that
// it can be checked without this program.
type Approved struct {
	Step      string `json:"step"`
	By        string `json:"by"`  // principal in the list of allowed signers
	Key       string `json:"key"` // fingerprint of their key, "SHA256:…"
	Binds     string `json:"binds"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
	Plan      string `json:"approved_plan,omitempty"` // given beforehand: SHA-256 of the plan file, instead of the incident
	Late      bool   `json:"late,omitempty"`          // after the step went ahead without it
}

// BreakGlass is a step that went ahead without its approvals, for a reason. They are asked for
// afterwards.
type BreakGlass struct {
	Step   string `json:"step"`
	By     string `json:"by"`
	Reason string `json:"reason"`

	Signed *Signed `json:"signed,omitempty"`
}

// bindsDomain keeps this digest apart from every other.
const bindsDomain = "clawback-approval@v1\n"

// Binds returns what an approval of a step has to name: the SHA-256, in hex, over every field of
// the plan and of the step. origin says of what the plan is: the hash of the entry that
// declares the incident, so that no approval can be older than its incident or serve another one, or that of a
// plan file, whose approvals are given beforehand.
//
// A plan has the same digest before it is recorded and after it was read from the record.
func Binds(origin string, plan Plan, step string) (string, error) {
	canonical, err := recorded(plan)
	if err != nil {
		return "", err
	}
	for _, phase := range canonical.Phases {
		i := slices.IndexFunc(phase.Steps, func(s PlanStep) bool { return s.ID == step })
		if i < 0 {
			continue
		}
		b, err := json.Marshal(struct {
			Origin string   `json:"origin"`
			Plan   Plan     `json:"plan"`
			Step   PlanStep `json:"step"`
		}{origin, canonical, phase.Steps[i]})
		if err != nil {
			return "", fmt.Errorf("digest of step %s: %w", step, err)
		}
		sum := sha256.Sum256(append([]byte(bindsDomain), b...))
		return hex.EncodeToString(sum[:]), nil
	}
	return "", fmt.Errorf("digest of step %s: it is not in the plan", step)
}

// recorded is the plan as a record gives it back: a map's numbers have one type then.
func recorded(plan Plan) (Plan, error) {
	b, err := json.Marshal(plan)
	if err != nil {
		return Plan{}, fmt.Errorf("digest of the plan: %w", err)
	}
	var again Plan
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a float would make two large numbers one
	if err := d.Decode(&again); err != nil {
		return Plan{}, fmt.Errorf("digest of the plan: %w", err)
	}
	return again, nil
}

// Counts reports whether one more approval may count beside those that were given, and otherwise
// why not: two approvals are of two people with two keys.
func (a *Approval) Counts(more Approved) error {
	for _, given := range a.Given {
		switch {
		case strings.EqualFold(given.By, more.By):
			return fmt.Errorf("%s has approved it already", given.By)
		case given.Key == more.Key:
			return fmt.Errorf("the key %s has approved it already, for %s", given.Key, given.By)
		}
	}
	return nil
}

// SignedMessage returns the message that another terminal signed, where an entry came from one.
func SignedMessage(e journal.Entry) (message string, ok bool) {
	switch e.Type {
	case TypeApproved:
		a, ok := decoded[Approved](e)
		return a.Message, ok && a.Message != ""
	case TypeAnswered, TypeNote, TypeCommand, TypeBreakGlass, TypeTerminal:
		v, ok := decoded[struct {
			Signed *Signed `json:"signed"`
		}](e)
		if ok && v.Signed != nil {
			return v.Signed.Message, true
		}
	}
	return "", false
}
