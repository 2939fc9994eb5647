package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	organizationsHost = "organizations.us-east-1.amazonaws.com"
	organizationsAPI  = "AWSOrganizationsV20161128."

	// levels bounds the way from an account up to the root, and targetPages what a policy is attached to:
	// units nest five deep, https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
	levels      = 7
	targetPages = 50
	// organizationTries is how often the deny beside another is tried, a second apart.
	organizationTries = 3
)

var (
	policyID = lazyregexp.New(`\Ap-[0-9a-zA-Z_]{8,128}\z`)
	parentID = lazyregexp.New(`\A(r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})\z`)
	// organizationPolicy tells the management account from the policy's ARN.
	organizationPolicy = lazyregexp.New(`\Aarn:[a-z-]+:organizations::([0-9]{12}):policy/o-[a-z0-9]{10,32}/service_control_policy/(p-[0-9a-zA-Z_]{8,128})\z`)
)

// organizationSettings name a service control policy that was made and attached in quiet times, as AWS
// advises, and who may change it: the output of a credential process, which the AWS CLI prints.
// https://docs.aws.amazon.com/singlesignon/latest/userguide/prereqs-revoking-user-permissions.html
// https://docs.aws.amazon.com/cli/latest/reference/configure/export-credentials.html
type organizationSettings struct {
	Policy    string     `yaml:"policy"`
	Authority *wire.Held `yaml:"authority"`
}

// Held returns where the organization's authority is kept.
func (s *settings) Held() map[string]*wire.Held {
	if s.Organization == nil || s.Organization.Authority == nil {
		return nil
	}
	return map[string]*wire.Held{"organization.authority": s.Organization.Authority}
}

func (s *organizationSettings) check() error {
	switch {
	case s == nil:
		return nil
	case !policyID.MatchString(s.Policy):
		return errors.New("organization.policy is no id of a policy, p-…")
	case s.Authority == nil:
		return errors.New("organization.authority is missing: who may change the policy")
	}
	return nil
}

// organization denies principals of all its accounts but its management account, in a policy that
// nobody in theirs can take off: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
type organization struct {
	settings *organizationSettings
	caller   func(own, target keys) *caller
	api      string
	sleep    func(context.Context, time.Duration) error
	turn     chan struct{} // holds a token while nobody changes the policy: it is read, and written whole
}

// processOutput is what a credential process prints:
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type processOutput struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
}

// authority is the organization's own caller, which is never the target, and whom AWS takes it for.
func (o *organization) authority(ctx context.Context, target keys) (*caller, principal, error) {
	if o.settings.Authority.Load == nil {
		return nil, principal{}, revoke.ErrNoAuthority
	}
	held, err := o.settings.Authority.Load(ctx)
	if err != nil {
		return nil, principal{}, err
	}
	var out processOutput
	if json.Unmarshal([]byte(held.Reveal("value")), &out) != nil || out.Version != 1 {
		return nil, principal{}, errors.New("organization.authority is no output of a credential process, as aws configure export-credentials prints it")
	}
	own := keys{id: out.AccessKeyID, secret: out.SecretAccessKey, token: out.SessionToken}
	switch {
	case !own.complete() || own.secret == "":
		return nil, principal{}, fmt.Errorf("organization.authority is not a whole key pair: %w", revoke.ErrAuthority)
	case own.id == target.id:
		return nil, principal{}, fmt.Errorf("it is the organization's authority itself: %w", revoke.ErrOurs)
	}
	c := o.caller(own, target)
	c.authority = true
	is, err := c.whoAmI(ctx)
	return c, is, err
}

func (o *organization) ask(ctx context.Context, c *caller, action string, in, out any) *failure {
	return c.ask(ctx, jsonAction{"organizations", region, o.api, organizationsAPI + action}, in, out)
}

// deny denies the principal everything, a role what it issued so far by AWS's clock.
func (o *organization) deny(ctx context.Context, target keys, who principal) error {
	if who.kind == "role" && who.at.IsZero() {
		return errors.New("AWS's answer bears no date to go by")
	}
	return o.change(ctx, target, who, func(c *caller, p *servicePolicy, management string) (bool, error) {
		switch {
		case management == who.account:
			return false, errors.New("no policy of an organization stops its management account")
		case who.kind == "role" && strings.HasPrefix(who.name, "AWSServiceRoleFor"):
			return false, errors.New("no policy of an organization stops a service-linked role")
		}
		if err := o.covers(ctx, c, who.account); err != nil {
			return false, err
		}
		return p.put(who)
	})
}

// allow takes the principal's deny off again, and reports whether it was there.
func (o *organization) allow(ctx context.Context, target keys, who principal) (taken bool, err error) {
	err = o.change(ctx, target, who, func(_ *caller, p *servicePolicy, _ string) (bool, error) {
		taken = p.take(who)
		return taken, nil
	})
	return taken && err == nil, err
}

// change reads the policy, lets edit change it, and writes it where edit says so.
func (o *organization) change(ctx context.Context, target keys, who principal, edit func(c *caller, p *servicePolicy, management string) (bool, error)) error {
	select {
	case <-o.turn:
		defer func() { o.turn <- struct{}{} }()
	case <-ctx.Done():
		return &failure{action: "UpdatePolicy", answer: "nothing was sent: " + context.Cause(ctx).Error(), unsent: true, ended: true, cause: ctx.Err()}
	}
	c, is, err := o.authority(ctx, target)
	switch {
	case err != nil:
		return err
	case is.same(who):
		return fmt.Errorf("the organization's authority is %s too: %w", who.owner(), revoke.ErrOurs)
	}
	p, management, f := o.read(ctx, c)
	if f != nil {
		return f
	}
	changed, err := edit(c, p, management)
	if err != nil || !changed {
		return err
	}
	return o.write(ctx, c, p)
}

type policyAnswer struct {
	Policy struct {
		Content       string
		PolicySummary struct{ Arn string }
	}
}

// read gets the policy, and the account that manages the organization:
// https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribePolicy.html
func (o *organization) read(ctx context.Context, c *caller) (*servicePolicy, string, *failure) {
	var out policyAnswer
	if f := o.ask(ctx, c, "DescribePolicy", map[string]string{"PolicyId": o.settings.Policy}, &out); f != nil {
		return nil, "", f
	}
	named := organizationPolicy.FindStringSubmatch(out.Policy.PolicySummary.Arn)
	p, ok := parseServicePolicy(out.Policy.Content)
	if !ok || named == nil || named[2] != o.settings.Policy {
		return nil, "", &failure{action: "DescribePolicy", status: 200, code: "-", answer: "200 without a service control policy of this id"}
	}
	return p, named[1], nil
}

// write replaces the policy, and looks at what AWS says it holds now:
// https://docs.aws.amazon.com/organizations/latest/APIReference/API_UpdatePolicy.html
func (o *organization) write(ctx context.Context, c *caller, p *servicePolicy) error {
	var out policyAnswer
	if f := o.ask(ctx, c, "UpdatePolicy", map[string]string{"PolicyId": o.settings.Policy, "Content": p.String()}, &out); f != nil {
		return f
	}
	if now, ok := parseServicePolicy(out.Policy.Content); !ok || now.String() != p.String() {
		return &failure{action: "UpdatePolicy", status: 200, answer: "200 with another policy"}
	}
	return nil
}

// covers wants the policy attached to the account, or to what the account is in.
func (o *organization) covers(ctx context.Context, c *caller, account string) error {
	targets, f := o.targets(ctx, c)
	if f != nil {
		return f
	}
	at := account
	for range levels {
		if targets[at] {
			return nil
		}
		if strings.HasPrefix(at, "r-") {
			break
		}
		if at, f = o.parent(ctx, c, at); f.is(400, "ChildNotFoundException") {
			return fmt.Errorf("account %s is not of the organization", account)
		} else if f != nil {
			return f
		}
	}
	return fmt.Errorf("policy %s is attached to nothing that account %s is in", o.settings.Policy, account)
}

// https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListTargetsForPolicy.html
func (o *organization) targets(ctx context.Context, c *caller) (map[string]bool, *failure) {
	all, in := map[string]bool{}, map[string]string{"PolicyId": o.settings.Policy}
	for range targetPages {
		var out struct {
			Targets []struct {
				TargetID string `json:"TargetId"`
			}
			NextToken string
		}
		if f := o.ask(ctx, c, "ListTargetsForPolicy", in, &out); f != nil {
			return nil, f
		}
		for _, t := range out.Targets {
			all[t.TargetID] = true
		}
		if in["NextToken"] = out.NextToken; out.NextToken == "" {
			break
		}
	}
	return all, nil
}

// https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListParents.html
func (o *organization) parent(ctx context.Context, c *caller, child string) (string, *failure) {
	var out struct {
		Parents []struct {
			ID string `json:"Id"`
		}
	}
	if f := o.ask(ctx, c, "ListParents", map[string]string{"ChildId": child}, &out); f != nil {
		return "", f
	}
	if len(out.Parents) != 1 || !parentID.MatchString(out.Parents[0].ID) {
		return "", &failure{action: "ListParents", status: 200, code: "-", answer: "200 without a parent"}
	}
	return out.Parents[0].ID, nil
}

// servicePolicy is the policy's document, whose other statements stay as they are.
type servicePolicy struct {
	Version   string
	Statement []json.RawMessage
}

func parseServicePolicy(content string) (*servicePolicy, bool) {
	p := &servicePolicy{}
	d := json.NewDecoder(strings.NewReader(content))
	d.DisallowUnknownFields() // it would be lost
	if d.Decode(p) == nil && p.Version != "" && len(p.Statement) > 0 {
		return p, true
	}
	return nil, false
}

func (p *servicePolicy) String() string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(p) != nil {
		return "" // a statement that came as JSON is JSON
	}
	return strings.TrimSpace(out.String())
}

// statementID names the principal's own statement, in the letters and digits that a Sid may have.
func statementID(who principal) string {
	return fmt.Sprintf("Clawback%x", sha256.Sum256([]byte(who.owner())))[:40]
}

// arns name the principal as requests do, with any path: what STS says of a role has none.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
func (p principal) arns() []string {
	switch p.kind {
	case "user", "role":
		front := "arn:" + p.partition + ":iam::" + p.account + ":" + p.kind + "/"
		return []string{front + p.name, front + "*/" + p.name}
	case "federated-user":
		return []string{"arn:" + p.partition + ":sts::" + p.account + ":federated-user/" + p.name}
	}
	return []string{p.owner()}
}

// put adds the principal's deny, and reports whether it was not there yet.
func (p *servicePolicy) put(who principal) (bool, error) {
	condition := map[string]any{"ArnLike": map[string]any{"aws:PrincipalArn": who.arns()}}
	if who.kind == "role" {
		condition["DateLessThan"] = map[string]string{"aws:TokenIssueTime": who.at.UTC().Add(issueMargin).Format(time.RFC3339)}
	}
	statement, err := json.Marshal(map[string]any{
		"Sid": statementID(who), "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition,
	})
	if err != nil {
		return false, err
	}
	before := p.String()
	if i := p.find(who); i >= 0 {
		p.Statement[i] = statement
	} else {
		p.Statement = append(p.Statement, statement)
	}
	return p.String() != before, nil
}

func (p *servicePolicy) take(who principal) bool {
	i := p.find(who)
	if i < 0 || len(p.Statement) == 1 { // a policy needs one
		return false
	}
	p.Statement = slices.Delete(p.Statement, i, i+1)
	return true
}

func (p *servicePolicy) find(who principal) int {
	return slices.IndexFunc(p.Statement, func(s json.RawMessage) bool {
		var named struct{ Sid string }
		return json.Unmarshal(s, &named) == nil && named.Sid == statementID(who)
	})
}

// denyInOrganization denies the principal there beside what was done in its account, where the desk has
// an organization. That it cannot be is said.
func (a responder) denyInOrganization(ctx context.Context, who principal, r *revoke.Receipt) {
	if a.org == nil {
		return
	}
	var err error
	for try := range organizationTries {
		if try > 0 && a.org.sleep(ctx, time.Second) != nil {
			break
		}
		var f *failure
		if err = a.org.deny(ctx, a.target, who); err == nil {
			r.Did = append(r.Did, a.org.did(who))
			return
		} else if !errors.As(err, &f) || f.final() {
			break
		}
	}
	r.Left = append(r.Left, revoke.Answer(0, "no deny by the organization on "+who.owner()+": "+strings.TrimPrefix(err.Error(), "aws: "), credential.Secret{}))
}

// onlyInOrganization denies the principal there since nothing in its account can or may: why says what.
func (a responder) onlyInOrganization(ctx context.Context, who principal, why error) (revoke.Receipt, error) {
	if a.org == nil {
		return revoke.Receipt{}, why
	}
	err := a.org.deny(ctx, a.target, who)
	var f *failure
	switch {
	case errors.As(err, &f) && !f.final():
		return revoke.Receipt{}, err
	case err != nil:
		return revoke.Receipt{}, fmt.Errorf("%w; and the organization does not deny %s: %s", why, who.owner(), revoke.Answer(0, err.Error(), credential.Secret{}))
	}
	return revoke.Receipt{Answer: "200 UpdatePolicy", Did: []string{a.org.did(who)}}, nil
}

func (o *organization) did(who principal) string {
	return "deny-all for " + who.owner() + " in the organization's policy " + o.settings.Policy
}

// allowInOrganization takes that deny off.
func (a responder) allowInOrganization(ctx context.Context, who principal, r *revoke.Receipt) error {
	if a.org == nil {
		return nil
	}
	taken, err := a.org.allow(ctx, a.target, who)
	switch {
	case err != nil:
		return fmt.Errorf("aws: the deny of %s in the organization's policy %s: %w", who.owner(), a.org.settings.Policy, err)
	case taken:
		r.Already, r.Answer = false, "200 UpdatePolicy"
		r.Did = append(r.Did, "deny-all for "+who.owner()+" taken from the organization's policy "+a.org.settings.Policy)
	}
	return nil
}
