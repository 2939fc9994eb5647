package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

var (
	_ revoke.Enumerator = (*provider)(nil)

	longTermID = lazyregexp.New(`\A(?:AKIA|ABIA|ACCA)[A-Z0-9]{12,124}\z`)
	userID     = lazyregexp.New(`\AAIDA[A-Z0-9]{12,124}\z`)
	accountID  = lazyregexp.New(`\A[0-9]{12}\z`)
)

const maxTold = 12

// Minted lists the users and access keys which CloudTrail shows that c itself created, or a session
// that it began: nobody else had a part in those. What it changed else, such as who may assume a
// role, comes as an error, for a person to judge, when it is asked again. CloudTrail has 90 days of
// events, of one region, and is late:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html
func (p *provider) Minted(ctx context.Context, c credential.Credential) ([]credential.Credential, error) {
	by, ok := creatorOf(c)
	if !ok {
		return nil, fmt.Errorf("aws: what %s created cannot be told without its id", c.Kind)
	}
	a, err := p.authority(ctx, keysOf(c))
	if err != nil {
		return nil, err
	}
	names := slices.Concat(created, sessions)
	if p.lookedBefore(keysOf(c).id) {
		names = append(names, changed...) // it takes ten seconds, in which others could have been revoked
	}
	events, cut, err := p.trail.events(ctx, a, p.trails, names)
	by.follow(events)
	var found []credential.Credential
	var told []string
	for _, e := range events {
		switch m, ok := a.credentialOf(e); {
		case !by.did(e):
		case ok:
			found = append(found, m)
		case e.Name != "GetSessionToken" && e.Name != "GetFederationToken": // the deny on the user covers those
			told = append(told, e.Time.UTC().Format(time.RFC3339)+" "+e.Name+e.subject())
		}
	}
	return found, errors.Join(err, judgement(told), incomplete(cut))
}

// lookedBefore reports whether it was called for that id before.
func (p *provider) lookedBefore(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.looked[id]
	p.looked[id] = true
	return before
}

func judgement(told []string) error {
	if len(told) == 0 {
		return nil
	}
	slices.Sort(told)
	if n := len(told) - maxTold; n > 0 {
		told = append([]string{fmt.Sprintf("%d older ones", n)}, told[n:]...)
	}
	return errors.New("aws: CloudTrail shows changes that only a person can judge: " + strings.Join(told, "; "))
}

func incomplete(cut []string) error {
	if len(cut) == 0 {
		return nil
	}
	return errors.New("aws: of these events CloudTrail has more than were read: " + strings.Join(cut, ", "))
}

// creator is who is looked for in events: a key with the sessions that it began, or a user.
type creator struct {
	keys map[string]bool
	user string
}

func creatorOf(c credential.Credential) (creator, bool) {
	if c.Kind == userKind {
		id := c.Ref["id"]
		return creator{user: id}, userID.MatchString(id)
	}
	id := keysOf(c).id
	return creator{keys: map[string]bool{id: true}}, id != ""
}

func (by creator) did(e event) bool {
	if by.user != "" {
		return e.Identity.PrincipalID == by.user
	}
	return by.keys[e.Identity.KeyID]
}

// follow adds the sessions that the keys began, and those that sessions began.
func (by creator) follow(events []event) {
	for grown := by.user == ""; grown; {
		grown = false
		for _, e := range events {
			if id := e.Response.Credentials.KeyID; id != "" && by.did(e) && !by.keys[id] {
				by.keys[id], grown = true, true
			}
		}
	}
}

// credentialOf is what the event created, where that can be ended by its name.
func (a responder) credentialOf(e event) (credential.Credential, bool) {
	user := func(name string) string {
		return principal{partition: a.is.partition, account: a.is.account, kind: "user", name: name}.owner()
	}
	switch key, u := e.Response.Key, e.Response.User; {
	case e.Name == "CreateAccessKey" && longTermID.MatchString(key.ID) && entityName.MatchString(key.User):
		return credential.Credential{
			Provider: "aws", Kind: mintedKind, Owner: user(key.User),
			Ref: map[string]string{"id": key.ID, "user": key.User, "account": a.is.account},
		}, true
	case e.Name == "CreateUser" && userID.MatchString(u.ID) && entityName.MatchString(u.Name):
		return credential.Credential{
			Provider: "aws", Kind: userKind, Owner: user(u.Name),
			Ref: map[string]string{"id": u.ID, "user": u.Name, "account": a.is.account},
		}, true
	}
	return credential.Credential{}, false
}
