package awsfake

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"clawback/revoke/credential"
)

const (
	organizationsAPI = "AWSOrganizationsV20161128."
	serviceLinked    = "AWSServiceRoleFor" // begins the names of roles that only their service changes, and no organization's policy stops
)

var organizations = service{name: "organizations", host: organizationsHost}

// organization has one service control policy, and the account of the fake below a unit below the root.
type organization struct {
	manager, id, root, unit string
	policy, content         string
	attached                []string
	denies                  []*serviceDeny
}

// serviceDeny is a statement that denies everything to whom it names.
type serviceDeny struct {
	deny
	arns []string
}

// Organize puts the account into an organization, whose policy is attached to the root. It returns the
// policy's id and the key of who may change it.
func (f *Fake) Organize() (policy string, authority credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lower := func(n int) string { return strings.ToLower(alphanumeric(n)) }
	root := "r-" + lower(4)
	f.org = &organization{
		manager: digits(12), id: "o-" + lower(10), root: root, unit: "ou-" + root[2:] + "-" + lower(8), policy: "p-" + lower(8),
		content: `{"Version":"2012-10-17","Statement":[{"Sid":"Prepared","Effect":"Deny","Action":"*","Resource":"*",` +
			`"Condition":{"StringEquals":{"identitystore:userId":"nobody <yet>"}}}]}`,
		attached: []string{root},
	}
	admin := f.newPrincipal("user", "organization-responder")
	admin.account = f.org.manager
	for _, action := range []string{"DescribePolicy", "UpdatePolicy", "ListTargetsForPolicy", "ListParents"} {
		admin.allowed["organizations:"+action] = true
	}
	c := f.credential(f.newKey(admin))
	c.Ref["account"] = f.org.manager
	return f.org.policy, c
}

// ForbidRoot takes actions from the root, as a policy of an organization does.
func (f *Fake) ForbidRoot(actions ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.root.forbidden = append(f.root.forbidden, actions...)
}

// MintRootSession makes a session of the root, of a kind that IAM takes.
func (f *Fake) MintRootSession() credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.credential(f.newSession(f.root))
}

// MintRoleSessionAt is MintRoleSession of a role with a path.
func (f *Fake) MintRoleSessionAt(path, role string) credential.Credential {
	c := f.MintRoleSession(role)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roles[role].path = path
	return c
}

// Attach attaches the organization's policy elsewhere: "root", "unit", "account", or to anything else.
func (f *Fake) Attach(targets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	named := map[string]string{"root": f.org.root, "unit": f.org.unit, "account": f.account}
	f.org.attached = nil
	for _, t := range targets {
		if id, ok := named[t]; ok {
			t = id
		}
		f.org.attached = append(f.org.attached, t)
	}
}

// Undeny takes all inline policies off users and roles, as one who has the account can.
func (f *Fake) Undeny(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		for _, p := range []*principal{f.users[name], f.roles[name]} {
			if p != nil {
				p.policies, p.denies = map[string]string{}, nil
			}
		}
	}
}

// Leave makes the account one of no organization, and Manage one that manages it.
func (f *Fake) Leave() { f.mu.Lock(); defer f.mu.Unlock(); f.org.unit = "" }

func (f *Fake) Manage() { f.mu.Lock(); defer f.mu.Unlock(); f.org.manager = f.account }

// ServicePolicy is the text of the organization's policy.
func (f *Fake) ServicePolicy() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.org.content
}

// arnLike compares as the condition operator ArnLike does: * stands for any text.
func arnLike(pattern, arn string) bool {
	return regexp.MustCompile(`\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + `\z`).MatchString(arn)
}

// principalARN is how a policy knows the caller, a role without its session:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
func (f *Fake) principalARN(k *key) string {
	if k.owner.kind == "role" {
		return "arn:aws:iam::" + f.accountOf(k.owner) + ":role" + k.owner.path + k.owner.name
	}
	return f.arn(k)
}

// denying are the statements of the organization that apply to the key.
func (f *Fake) denying(k *key) (out []*serviceDeny) {
	if f.org == nil || f.accountOf(k.owner) == f.org.manager || strings.HasPrefix(k.owner.name, serviceLinked) || !f.covered() {
		return nil
	}
	arn := f.principalARN(k)
	for _, d := range f.org.denies {
		if d.covers(k) && slices.ContainsFunc(d.arns, func(pattern string) bool { return arnLike(pattern, arn) }) {
			out = append(out, d)
		}
	}
	return out
}

// deniedAbove looks whether a statement bites. Each is looked at, for the lagging node.
func (f *Fake) deniedAbove(k *key) bool {
	bites := false
	for _, d := range f.denying(k) {
		if !f.knobs.Live(&d.revocation) {
			bites = true
		}
	}
	return bites
}

func (f *Fake) covered() bool {
	return f.org.unit != "" && slices.ContainsFunc([]string{f.account, f.org.unit, f.org.root}, func(id string) bool {
		return slices.Contains(f.org.attached, id)
	})
}

// parseServiceDenies returns false for what is no service control policy.
func parseServiceDenies(content string) ([]*serviceDeny, bool) {
	var policy struct {
		Version   string
		Statement []struct {
			Sid, Effect      string
			Action, Resource oneOrMore
			Condition        map[string]map[string]oneOrMore
			Principal        any
		}
	}
	if json.Unmarshal([]byte(content), &policy) != nil || policy.Version != "2012-10-17" || len(policy.Statement) == 0 || len(content) > 10240 {
		return nil, false
	}
	var out []*serviceDeny
	sids := map[string]bool{}
	for _, s := range policy.Statement {
		if s.Principal != nil || !regexp.MustCompile(`\A[a-zA-Z0-9]*\z`).MatchString(s.Sid) || s.Sid != "" && sids[s.Sid] {
			return nil, false
		}
		sids[s.Sid] = true
		d := &serviceDeny{arns: s.Condition["ArnLike"]["aws:PrincipalArn"]}
		if before := s.Condition["DateLessThan"]["aws:TokenIssueTime"]; len(before) == 1 {
			at, err := time.Parse(time.RFC3339, before[0])
			if err != nil {
				return nil, false
			}
			d.before = at
		}
		if s.Effect == "Deny" && slices.Contains(s.Action, "*") && slices.Contains(s.Resource, "*") {
			out = append(out, d)
		}
	}
	return out, true
}

func (f *Fake) ofPolicy(body []byte, more ...string) (map[string]string, *apiError) {
	var in map[string]string
	if json.Unmarshal(body, &in) != nil {
		return nil, &apiError{400, "InvalidInputException", "You provided invalid values for one or more of the request parameters."}
	}
	for name := range maps.Keys(in) {
		if name != "PolicyId" && !slices.Contains(more, name) {
			return nil, &apiError{400, "InvalidInputException", "unknown parameter"}
		}
	}
	if f.org == nil || in["PolicyId"] != f.org.policy {
		return nil, &apiError{400, "PolicyNotFoundException", "You specified a policy that doesn't exist."}
	}
	return in, nil
}

// https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribePolicy.html
func (f *Fake) describePolicy(body []byte) (map[string]any, *apiError) {
	if _, refusal := f.ofPolicy(body); refusal != nil {
		return nil, refusal
	}
	return f.policyAnswer(), nil
}

func (f *Fake) policyAnswer() map[string]any {
	return map[string]any{"Policy": map[string]any{"Content": f.org.content, "PolicySummary": map[string]any{
		"Id": f.org.policy, "Name": "responders", "Type": "SERVICE_CONTROL_POLICY", "AwsManaged": false,
		"Arn": f.policyARN(),
	}}}
}

func (f *Fake) policyARN() string {
	return "arn:aws:organizations::" + f.org.manager + ":policy/" + f.org.id + "/service_control_policy/" + f.org.policy
}

// https://docs.aws.amazon.com/organizations/latest/APIReference/API_UpdatePolicy.html
func (f *Fake) updatePolicy(body []byte) (map[string]any, *apiError) {
	in, refusal := f.ofPolicy(body, "Content")
	if refusal != nil {
		return nil, refusal
	}
	denies, ok := parseServiceDenies(in["Content"])
	if !ok {
		return nil, &apiError{400, "MalformedPolicyDocumentException", "The provided policy document does not meet the requirements of the specified policy type."}
	}
	for _, d := range denies {
		if i := slices.IndexFunc(f.org.denies, func(old *serviceDeny) bool { return old.before.Equal(d.before) && slices.Equal(old.arns, d.arns) }); i >= 0 {
			d.revocation = f.org.denies[i].revocation
		} else {
			f.knobs.Revoke(&d.revocation)
		}
	}
	f.org.denies, f.org.content = denies, in["Content"]
	return f.policyAnswer(), nil
}

// listTargets has one target on a page:
// https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListTargetsForPolicy.html
func (f *Fake) listTargets(body []byte) (map[string]any, *apiError) {
	in, refusal := f.ofPolicy(body, "NextToken")
	if refusal != nil {
		return nil, refusal
	}
	at, err := strconv.Atoi(in["NextToken"])
	if in["NextToken"] != "" && (err != nil || at < 0 || at >= len(f.org.attached)) {
		return nil, &apiError{400, "InvalidInputException", "INVALID_NEXT_TOKEN"}
	}
	answer := map[string]any{"Targets": []any{}}
	if at < len(f.org.attached) {
		kind := map[string]string{"r": "ROOT", "o": "ORGANIZATIONAL_UNIT"}[f.org.attached[at][:1]]
		if kind == "" {
			kind = "ACCOUNT"
		}
		answer["Targets"] = []any{map[string]any{"TargetId": f.org.attached[at], "Type": kind, "Name": "x"}}
		if at+1 < len(f.org.attached) {
			answer["NextToken"] = strconv.Itoa(at + 1)
		}
	}
	return answer, nil
}

// https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListParents.html
func (f *Fake) listParents(body []byte) (map[string]any, *apiError) {
	var in struct{ ChildId string }
	if json.Unmarshal(body, &in) != nil || f.org == nil {
		return nil, &apiError{400, "InvalidInputException", ""}
	}
	parent := map[string][2]string{f.account: {f.org.unit, "ORGANIZATIONAL_UNIT"}, f.org.unit: {f.org.root, "ROOT"}}[in.ChildId]
	if parent[0] == "" {
		return nil, &apiError{400, "ChildNotFoundException", "We can't find an organizational unit (OU) or AWS account with the ChildId that you specified."}
	}
	return map[string]any{"Parents": []any{map[string]any{"Id": parent[0], "Type": parent[1]}}}, nil
}
