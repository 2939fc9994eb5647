package inbox

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks/engine/signers"
)

// ApprovePlan returns the message that approves a step of a plan file before there is an incident.
// sum is the SHA-256 of the file, in hex. Seal makes the approval file of it.
func ApprovePlan(plan incident.Plan, sum, step, as string) (Message, error) {
	binds, err := incident.Binds(sum, plan, step)
	if err != nil {
		return Message{}, err
	}
	return Message{Kind: KindApproval, As: as, Approval: &Approval{Step: step, Binds: binds, Plan: sum}}, nil
}

// Beforehand checks one approval file of a plan file, and returns the approval for
// engine.Approvals.Given. Who asks for it is for the engine to compare.
func Beforehand(file []byte, plan incident.Plan, sum string, list signers.Signers, at time.Time) (incident.Approved, error) {
	m, err := Parse(file)
	switch {
	case err != nil:
		return incident.Approved{}, err
	case m.Approval == nil || m.Approval.Plan == "":
		return incident.Approved{}, errors.New("it does not approve a plan file")
	case m.Approval.Plan != sum:
		return incident.Approved{}, errors.New("it approves another plan file, or this one before it was changed")
	}
	binds, err := incident.Binds(sum, plan, m.Approval.Step)
	if err != nil {
		return incident.Approved{}, err
	}
	if m.Approval.Binds != binds {
		return incident.Approved{}, fmt.Errorf("it approves something else than step %s of this plan", m.Approval.Step)
	}
	if err := list.Allow(m.As, m.Key, signers.Approvals, at); err != nil {
		return incident.Approved{}, err
	}
	return incident.Approved{
		Step: m.Approval.Step, By: m.As, Key: ssh.FingerprintSHA256(m.Key), Binds: binds, Plan: sum, Message: m.Text, Signature: m.Signature,
	}, nil
}
