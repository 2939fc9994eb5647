package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clawback/revoke"
)

const (
	lookupEvents = "CloudTrail_20131101.LookupEvents"

	// lookupEvery keeps to two requests a second, for the account and region:
	// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
	lookupEvery = 500 * time.Millisecond
	// trailFresh is how long a list of events serves all credentials that ask for it.
	trailFresh = time.Minute

	createdPages = 20 // of 50 events each, for what is killed
	otherPages   = 4  // for what is only told
)

// created are the events whose result is killed.
var created = []string{"CreateAccessKey", "CreateUser"}

// sessions are the events that begin sessions.
var sessions = []string{"AssumeRole", "GetSessionToken", "GetFederationToken"}

// changed are events that open a way back in, of which only a person can tell how to close it.
var changed = []string{
	"CreateLoginProfile", "UpdateLoginProfile", "CreateServiceSpecificCredential",
	"CreateRole", "UpdateAssumeRolePolicy",
	"AttachUserPolicy", "PutUserPolicy", "AttachRolePolicy", "PutRolePolicy", "AttachGroupPolicy", "PutGroupPolicy",
	"AddUserToGroup", "CreatePolicyVersion", "CreateSAMLProvider", "CreateOpenIDConnectProvider",
}

// event is what is read of one CloudTrail event. The rest, session tokens among it, is not kept:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
type event struct {
	Time     time.Time `json:"eventTime"`
	Source   string    `json:"eventSource"`
	Name     string    `json:"eventName"`
	Error    string    `json:"errorCode"`
	Account  string    `json:"recipientAccountId"`
	Identity struct {
		PrincipalID string `json:"principalId"`
		KeyID       string `json:"accessKeyId"`
	} `json:"userIdentity"`
	Request struct {
		User   string `json:"userName"`
		Role   string `json:"roleName"`
		ARN    string `json:"roleArn"`
		Group  string `json:"groupName"`
		Policy string `json:"policyArn"`
	} `json:"requestParameters"`
	Response struct {
		Key struct {
			ID   string `json:"accessKeyId"`
			User string `json:"userName"`
		} `json:"accessKey"`
		User struct {
			ID   string `json:"userId"`
			Name string `json:"userName"`
		} `json:"user"`
		Credentials struct {
			KeyID string `json:"accessKeyId"`
		} `json:"credentials"`
	} `json:"responseElements"`
}

// trail reads the account's last 90 days of CloudTrail, by event name: events by key id would be
// drowned by those of a busy agent. One reader serves all credentials.
type trail struct {
	env  revoke.Env
	turn chan struct{}      // holds a token while nobody reads
	last time.Time          // of the latest request
	read map[string]listing // by account and name
}

// listing is the events of one name, the newest first.
type listing struct {
	at     time.Time
	events []event
	more   bool // some were not read
}

func newTrail(env revoke.Env) *trail {
	t := &trail{env: env, turn: make(chan struct{}, 1), read: map[string]listing{}}
	t.turn <- struct{}{}
	return t
}

// events returns those of the names that were read, which with an error is not all of them.
func (t *trail) events(ctx context.Context, a responder, base string, names []string) (all []event, cut []string, err error) {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("aws: CloudTrail was not asked: %w", context.Cause(ctx))
	}
	for _, name := range names {
		key := a.is.account + " " + name
		l, ok := t.read[key]
		if !ok || t.env.Now().Sub(l.at) > trailFresh {
			if l, err = t.list(ctx, a, base, name); err != nil {
				return all, cut, err
			}
			t.read[key] = l
		}
		all = append(all, l.events...)
		if l.more {
			cut = append(cut, name)
		}
	}
	return all, cut, nil
}

func (t *trail) list(ctx context.Context, a responder, base, name string) (listing, error) {
	pages := otherPages
	if slices.Contains(created, name) {
		pages = createdPages
	}
	l := listing{at: t.env.Now()}
	type attribute struct{ AttributeKey, AttributeValue string }
	in := struct {
		LookupAttributes []attribute
		MaxResults       int
		NextToken        string `json:",omitempty"`
	}{LookupAttributes: []attribute{{"EventName", name}}, MaxResults: 50}
	for range pages {
		if err := t.pace(ctx); err != nil {
			return l, err
		}
		var out struct {
			Events    []struct{ CloudTrailEvent string }
			NextToken string
		}
		f := a.ask(ctx, jsonAction{"cloudtrail", region, base, lookupEvents}, in, &out)
		switch {
		case f != nil:
			return l, f
		case out.Events == nil:
			return l, &failure{action: "LookupEvents", status: 200, answer: "200 without a list of events"}
		}
		for _, e := range out.Events {
			one, err := parseEvent(e.CloudTrailEvent)
			switch {
			case err != nil:
				l.more = true
			case one.Name == name && one.succeeded(a.is.account):
				l.events = append(l.events, one)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return l, nil
		}
	}
	l.more = true
	return l, nil
}

func parseEvent(text string) (event, error) {
	var e event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return event{}, errors.New("an event that cannot be read") // err may quote it
	}
	return e, nil
}

// succeeded leaves out what was refused, what is not IAM's or STS's, and what was done elsewhere.
func (e event) succeeded(account string) bool {
	return e.Error == "" && (e.Source == iamHost || e.Source == stsHost) && e.Account == account
}

// pace waits until the next request is within CloudTrail's rate.
func (t *trail) pace(ctx context.Context) error {
	wait := lookupEvery - t.env.Now().Sub(t.last)
	if !t.last.IsZero() && wait > 0 {
		if err := t.env.Sleep(ctx, min(wait, lookupEvery)); err != nil {
			return fmt.Errorf("aws: CloudTrail was not read to its end: %w", err)
		}
	}
	t.last = t.env.Now()
	return nil
}

// subject names what the event changed, in so far as it can be shown.
func (e event) subject() string {
	for _, named := range []struct{ what, name string }{
		{"user ", e.Request.User}, {"group ", e.Request.Group}, {"role ", e.Request.Role},
		{"role ", e.Request.ARN[strings.LastIndex(e.Request.ARN, "/")+1:]},
		{"policy ", e.Request.Policy[strings.LastIndex(e.Request.Policy, "/")+1:]},
	} {
		if entityName.MatchString(named.name) {
			return " of " + named.what + named.name
		}
	}
	return ""
}
