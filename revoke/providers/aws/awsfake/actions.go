package awsfake

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"clawback/revoke/fake"
)

const xmlTime = "2006-01-02T15:04:05Z"

// actions are the operations that the account knows; the rest is InvalidAction.
var actions = map[string]func(*Fake, *key, url.Values) (string, *apiError){
	"sts:GetCallerIdentity":               (*Fake).getCallerIdentity,
	"sts:GetAccessKeyInfo":                (*Fake).getAccessKeyInfo,
	"sts:GetSessionToken":                 (*Fake).getSessionToken,
	"iam:GetAccessKeyLastUsed":            (*Fake).getAccessKeyLastUsed,
	"iam:ListAccessKeys":                  (*Fake).listAccessKeys,
	"iam:ListAccountAliases":              (*Fake).listAccountAliases,
	"iam:GetUser":                         (*Fake).getUser,
	"iam:GetUserPolicy":                   (*Fake).getUserPolicy,
	"iam:CreateUser":                      (*Fake).createUser,
	"iam:ListServiceSpecificCredentials":  (*Fake).listServiceSpecificCredentials,
	"iam:UpdateServiceSpecificCredential": (*Fake).updateServiceSpecificCredential,
	"iam:CreateLoginProfile":              (*Fake).createLoginProfile,
	"iam:GetLoginProfile":                 (*Fake).getLoginProfile,
	"iam:DeleteLoginProfile":              (*Fake).deleteLoginProfile,
	"iam:CreateAccessKey":                 (*Fake).createAccessKey,
	"iam:UpdateAccessKey":                 (*Fake).updateAccessKey,
	"iam:DeleteAccessKey":                 (*Fake).deleteAccessKey,
	"iam:PutUserPolicy":                   (*Fake).putUserPolicy,
	"iam:PutRolePolicy":                   (*Fake).putRolePolicy,
	"iam:DeleteUserPolicy":                (*Fake).deleteUserPolicy,
	"iam:DeleteRolePolicy":                (*Fake).deleteRolePolicy,
	"iam:AttachUserPolicy":                (*Fake).recordOnly,
	"iam:UpdateAssumeRolePolicy":          (*Fake).recordOnly,
	"sts:AssumeRole":                      (*Fake).assumeRole,
}

// authorize evaluates policies. GetCallerIdentity needs no permission and no deny stops it:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
// Nor can a policy stop GetSessionToken.
func (f *Fake) authorize(k *key, action string) *apiError {
	switch action {
	case "sts:GetCallerIdentity":
		return nil
	case "sts:GetSessionToken":
		if k.token != "" {
			return &apiError{403, "AccessDenied", "Cannot call GetSessionToken with session credentials"}
		}
		return nil
	}
	who := "User: " + f.arn(k) + " is not authorized to perform: " + action + " on resource: * "
	switch {
	case f.denied(k):
		return &apiError{403, "AccessDenied", who + "with an explicit deny in an identity-based policy"}
	case f.deniedAbove(k):
		return &apiError{403, "AccessDenied", who + "with an explicit deny in a service control policy: " + f.policyARN()}
	case strings.HasPrefix(action, "sts:") && k.token != "" && k.owner.kind == "user":
		return invalidToken // a user's session may call GetCallerIdentity and AssumeRole only
	case slices.Contains(k.owner.forbidden, action):
		return &apiError{403, "AccessDenied", who + "with an explicit deny in a service control policy"}
	case !k.owner.allowed["*"] && !k.owner.allowed[action]:
		return &apiError{403, "AccessDenied", who + "because no identity-based policy allows the " + action + " action"}
	}
	return nil
}

func (f *Fake) getCallerIdentity(k *key, _ url.Values) (string, *apiError) {
	id := k.owner.id
	if k.session != "" {
		id += ":" + k.session
	}
	return element("Arn", f.arn(k)) + element("UserId", id) + element("Account", f.accountOf(k.owner)), nil
}

func (f *Fake) getAccessKeyInfo(_ *key, form url.Values) (string, *apiError) {
	k := f.keys[form.Get("AccessKeyId")]
	if k == nil || k.deleted {
		return "", &apiError{403, "AccessDenied", "The access key does not exist."}
	}
	return element("Account", f.accountOf(k.owner)), nil
}

func (f *Fake) getSessionToken(caller *key, _ url.Values) (string, *apiError) {
	k := f.newSession(caller.owner)
	return f.credentials(k), nil
}

func (f *Fake) assumeRole(_ *key, form url.Values) (string, *apiError) {
	_, name, _ := strings.Cut(form.Get("RoleArn"), ":role/")
	r := f.roles[name]
	if r == nil {
		return "", &apiError{403, "AccessDenied", "Not authorized to perform sts:AssumeRole"}
	}
	k := f.newSession(r)
	k.session = form.Get("RoleSessionName")
	return f.credentials(k) + "<AssumedRoleUser>" + element("AssumedRoleId", r.id+":"+k.session) + element("Arn", f.arn(k)) + "</AssumedRoleUser>", nil
}

func (f *Fake) credentials(k *key) string {
	f.result = map[string]any{"credentials": map[string]any{
		"accessKeyId": k.id, "sessionToken": k.token, "expiration": k.expires.UTC().Format("Jan 2, 2006, 3:04:05 PM"),
	}}
	return "<Credentials>" + element("AccessKeyId", k.id) + element("SecretAccessKey", k.secret) +
		element("SessionToken", k.token) + element("Expiration", k.expires.UTC().Format(xmlTime)) + "</Credentials>"
}

// getAccessKeyLastUsed knows the long-term keys of this account. What it answers for the root's
// is not documented; here it names no user. Nor is what it answers for a key that is not there: older
// models of the action had NoSuchEntity.
func (f *Fake) getAccessKeyLastUsed(_ *key, form url.Values) (string, *apiError) {
	k := f.keys[form.Get("AccessKeyId")]
	if k == nil || k.deleted || k.token != "" {
		return "", notFound("The Access Key with id " + form.Get("AccessKeyId") + " cannot be found.")
	}
	name := ""
	if k.owner.kind == "user" {
		name = element("UserName", k.owner.name)
	}
	return name + "<AccessKeyLastUsed>" + element("Region", "N/A") + element("ServiceName", "N/A") + "</AccessKeyLastUsed>", nil
}

func (f *Fake) listAccessKeys(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	if refusal != nil {
		return "", refusal
	}
	var out strings.Builder
	for _, k := range f.keysOf(u) {
		out.WriteString("<member>" + element("UserName", u.name) + element("AccessKeyId", k.id) + element("Status", f.listed(k)) +
			element("CreateDate", k.issued.UTC().Format(xmlTime)) + "</member>")
	}
	return "<AccessKeyMetadata>" + out.String() + "</AccessKeyMetadata>" + element("IsTruncated", "false"), nil
}

// listed is the status as IAM lists it, which is as late as the change itself.
func (f *Fake) listed(k *key) string {
	if k.status == "Inactive" && f.knobs.Live(&k.revocation) {
		return "Active"
	}
	return k.status
}

func (f *Fake) listAccountAliases(*key, url.Values) (string, *apiError) {
	return "<AccountAliases><member>simulated</member></AccountAliases>" + element("IsTruncated", "false"), nil
}

func (f *Fake) getUser(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	if refusal != nil {
		return "", refusal
	}
	return f.userElement(u), nil
}

func (f *Fake) userElement(u *principal) string {
	return "<User>" + element("Path", "/") + element("UserName", u.name) + element("UserId", u.id) +
		element("Arn", "arn:aws:iam::"+f.account+":user/"+u.name) + element("CreateDate", u.created.UTC().Format(xmlTime)) + "</User>"
}

func (f *Fake) createUser(_ *key, form url.Values) (string, *apiError) {
	name := form.Get("UserName")
	if name == "" || f.users[name] != nil && f.users[name].deleted.At.IsZero() {
		return "", &apiError{409, "EntityAlreadyExists", "User with name " + name + " already exists."}
	}
	u := f.newPrincipal("user", name)
	f.users[name] = u
	f.result = map[string]any{"user": map[string]any{
		"path": "/", "userName": name, "userId": u.id, "arn": "arn:aws:iam::" + f.account + ":user/" + name,
	}}
	return f.userElement(u), nil
}

// getUserPolicy shows a deny no sooner than it bites: IAM's answers are as late as its changes.
func (f *Fake) getUserPolicy(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	if refusal != nil {
		return "", refusal
	}
	name := form.Get("PolicyName")
	document, ok := u.policies[name]
	for _, d := range u.denies {
		if d.policy == name {
			ok = ok && !f.knobs.Live(&d.revocation)
		}
	}
	if !ok {
		return "", notFound("The user policy with name " + name + " cannot be found.")
	}
	return element("UserName", u.name) + element("PolicyName", name) + element("PolicyDocument", url.PathEscape(document)), nil
}

func (f *Fake) createLoginProfile(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	switch {
	case refusal != nil:
		return "", refusal
	case u.password:
		return "", &apiError{409, "EntityAlreadyExists", "Login Profile for user " + u.name + " already exists."}
	}
	u.password = true
	return f.loginProfile(u), nil
}

func (f *Fake) getLoginProfile(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	switch {
	case refusal != nil:
		return "", refusal
	case !u.password:
		return "", notFound("Login Profile for User " + u.name + " cannot be found.")
	}
	return f.loginProfile(u), nil
}

func (f *Fake) loginProfile(u *principal) string {
	return "<LoginProfile>" + element("UserName", u.name) + element("CreateDate", u.created.UTC().Format(xmlTime)) +
		element("PasswordResetRequired", "false") + "</LoginProfile>"
}

func (f *Fake) deleteLoginProfile(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	switch {
	case refusal != nil:
		return "", refusal
	case !u.password:
		return "", notFound("Login Profile for User " + u.name + " cannot be found.")
	}
	u.password = false
	return "", nil
}

// recordOnly changes nothing that is simulated: CloudTrail shows it.
func (f *Fake) recordOnly(*key, url.Values) (string, *apiError) { return "", nil }

func (f *Fake) createAccessKey(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	if refusal != nil {
		return "", refusal
	}
	if len(f.keysOf(u)) >= 2 {
		return "", &apiError{409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"}
	}
	k := f.newKey(u)
	f.result = map[string]any{"accessKey": map[string]any{"userName": u.name, "accessKeyId": k.id, "status": k.status}}
	return "<AccessKey>" + element("UserName", u.name) + element("AccessKeyId", k.id) + element("Status", k.status) +
		element("SecretAccessKey", k.secret) + element("CreateDate", k.issued.UTC().Format(xmlTime)) + "</AccessKey>", nil
}

func (f *Fake) updateAccessKey(caller *key, form url.Values) (string, *apiError) {
	k, refusal := f.namedKey(caller, form)
	if refusal != nil {
		return "", refusal
	}
	switch status := form.Get("Status"); status {
	case "Inactive":
		f.knobs.Revoke(&k.revocation)
		k.status = status
	case "Active":
		k.revocation, k.status = fake.Revocation{}, status
	default:
		return "", &apiError{400, "ValidationError", "1 validation error detected: Value at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"}
	}
	return "", nil
}

func (f *Fake) deleteAccessKey(caller *key, form url.Values) (string, *apiError) {
	k, refusal := f.namedKey(caller, form)
	if refusal != nil {
		return "", refusal
	}
	k.deleted = true
	f.knobs.Revoke(&k.revocation)
	return "", nil
}

func (f *Fake) putUserPolicy(_ *key, form url.Values) (string, *apiError) {
	return f.putPolicy("user", f.there(form.Get("UserName")), form.Get("UserName"), form)
}

func (f *Fake) putRolePolicy(_ *key, form url.Values) (string, *apiError) {
	if name := form.Get("RoleName"); strings.HasPrefix(name, serviceLinked) || strings.HasPrefix(name, "AWSReservedSSO_") {
		return "", &apiError{400, "UnmodifiableEntity", "Cannot perform the operation on the protected role '" + form.Get("RoleName") +
			"' - this role is only modifiable by AWS"}
	}
	return f.putPolicy("role", f.roles[form.Get("RoleName")], form.Get("RoleName"), form)
}

func (f *Fake) putPolicy(kind string, p *principal, name string, form url.Values) (string, *apiError) {
	switch {
	case p == nil:
		return "", notFound("The " + kind + " with name " + name + " cannot be found.")
	case form.Get("PolicyName") == "":
		return "", &apiError{400, "ValidationError", "1 validation error detected: Value at 'policyName' failed to satisfy constraint: Member must not be null"}
	case !p.put(f.knobs, form.Get("PolicyName"), form.Get("PolicyDocument")):
		return "", &apiError{400, "MalformedPolicyDocument", "Syntax errors in policy."}
	}
	return "", nil
}

func (f *Fake) deleteUserPolicy(_ *key, form url.Values) (string, *apiError) {
	return takePolicy(f.there(form.Get("UserName")), form.Get("UserName"), form)
}

func (f *Fake) deleteRolePolicy(_ *key, form url.Values) (string, *apiError) {
	return takePolicy(f.roles[form.Get("RoleName")], form.Get("RoleName"), form)
}

func takePolicy(p *principal, name string, form url.Values) (string, *apiError) {
	if p == nil || !p.take(form.Get("PolicyName")) {
		return "", notFound("The policy with name " + form.Get("PolicyName") + " of " + name + " cannot be found.")
	}
	return "", nil
}

// named is the principal whom UserName names, or the caller where it names nobody.
func (f *Fake) named(caller *key, form url.Values) (*principal, *apiError) {
	name := form.Get("UserName")
	switch {
	case name == "" && caller.owner.kind == "role":
		return nil, &apiError{400, "ValidationError", "Must specify userName when calling with non-User credentials"}
	case name == "":
		return caller.owner, nil
	}
	if u := f.there(name); u != nil {
		return u, nil
	}
	return nil, notFound("The user with name " + name + " cannot be found.")
}

// there is the user of that name, and nil where that one was deleted.
func (f *Fake) there(name string) *principal {
	if u := f.users[name]; u != nil && f.knobs.Live(&u.deleted) {
		return u
	}
	return nil
}

func (f *Fake) namedKey(caller *key, form url.Values) (*key, *apiError) {
	u, refusal := f.named(caller, form)
	if refusal != nil {
		return nil, refusal
	}
	k := f.keys[form.Get("AccessKeyId")]
	if k == nil || k.deleted || k.owner != u || k.token != "" {
		return nil, notFound("The Access Key with id " + form.Get("AccessKeyId") + " cannot be found.")
	}
	return k, nil
}

// keysOf lists the access keys of a user, oldest first.
func (f *Fake) keysOf(u *principal) []*key {
	var out []*key
	for _, k := range f.keys {
		if k.owner == u && !k.deleted && k.token == "" {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *key) int { return cmp.Or(a.issued.Compare(b.issued), strings.Compare(a.id, b.id)) })
	return out
}

func notFound(message string) *apiError { return &apiError{404, "NoSuchEntity", message} }
