package awsfake

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// bedrockKey is an API key of Bedrock. A short-term one has no id: IAM lists it nowhere.
type bedrockKey struct {
	id, alias  string
	owner      *principal
	created    time.Time
	status     string // Active, Inactive or Expired
	deleted    bool
	revocation fake.Revocation
}

// MintBedrock makes a long-term key of the named user, who is made where missing.
func (f *Fake) MintBedrock(user string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.user(user)
	u.allowed["bedrock:ListFoundationModels"] = true
	name := user
	for n := 0; slices.ContainsFunc(f.bedrockKeys(), func(b *bedrockKey) bool { return b.alias == name+"-at-"+f.account }); {
		n++
		name = user + "+" + strconv.Itoa(n)
	}
	b := &bedrockKey{id: "ACCA" + alphanumeric(17), alias: name + "-at-" + f.account, owner: u, created: f.knobs.Now(), status: "Active"}
	return f.bedrockCredential(bedrockKind, b, "ABSK"+base64.StdEncoding.EncodeToString([]byte(b.alias+":"+randomBase64(64))))
}

// MintBedrockShort makes a short-term key, as a session of the named role would.
func (f *Fake) MintBedrockShort(role string) credential.Credential {
	session := f.MintRoleSession(role)
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.knobs.Now().UTC()
	query := url.Values{
		"Action": {"CallWithBearerToken"}, "Version": {"1"}, "X-Amz-Algorithm": {algorithm}, "X-Amz-Date": {at.Format(amzTime)},
		"X-Amz-Credential": {session.Ref["id"] + "/" + at.Format("20060102") + "/us-east-1/bedrock/aws4_request"}, "X-Amz-Expires": {"43200"},
		"X-Amz-Security-Token": {session.Secret.Reveal("session_token")}, "X-Amz-Signature": {sum(randomBytes(32))}, "X-Amz-SignedHeaders": {"host"},
	}
	b := &bedrockKey{owner: f.roles[role], status: "Active"}
	c := f.bedrockCredential(shortKind, b, "bedrock-api-key-"+base64.StdEncoding.EncodeToString([]byte("bedrock.amazonaws.com/?"+query.Encode())))
	c.Expires = at.Add(sessionLife)
	return c
}

func (f *Fake) bedrockCredential(kind string, b *bedrockKey, value string) credential.Credential {
	f.bedrock[value] = b
	return credential.Credential{
		Provider: "aws", Kind: kind, Ref: map[string]string{"account": f.account},
		Secret: credential.NewSecret(map[string]string{"value": value}),
	}
}

// bedrockKeys lists the long-term keys that were not deleted, oldest first.
func (f *Fake) bedrockKeys() []*bedrockKey {
	var out []*bedrockKey
	for _, b := range f.bedrock {
		if b.id != "" && !b.deleted {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b *bedrockKey) int { return cmp.Or(a.created.Compare(b.created), strings.Compare(a.id, b.id)) })
	return out
}

// serveBedrock answers ListFoundationModels with a key. That of a refused key is as others saw it, and
// documented nowhere: https://github.com/ai4s-research/open-science/issues/53
func (f *Fake) serveBedrock(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	value, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	b := f.bedrock[value]
	status, answer := http.StatusForbidden, map[string]any{}
	switch {
	case slices.Contains([]string{stsHost, iamHost, trailHost, secretsHost}, host):
		status = http.StatusNotFound
	case !bearer:
		answer["message"] = "Missing Authentication Token"
	case b == nil || b.status == "Expired" || !f.knobs.Live(&b.revocation):
		answer["Message"] = "Authentication failed: Please make sure your API Key is valid."
	case len(b.owner.denies) > 0 && slices.ContainsFunc(b.owner.denies, func(d *deny) bool { return d.before.IsZero() && !f.knobs.Live(&d.revocation) }):
		answer["Message"] = "User: arn:aws:iam::" + f.account + ":user/" + b.owner.name +
			" is not authorized to perform: bedrock:CallWithBearerToken on resource: * with an explicit deny in an identity-based policy"
	case !b.owner.allowed["bedrock:ListFoundationModels"]:
		answer["Message"] = "User: arn:aws:iam::" + f.account + ":user/" + b.owner.name +
			" is not authorized to perform: bedrock:ListFoundationModels because no identity-based policy allows the bedrock:ListFoundationModels action"
	default:
		status = http.StatusOK
		answer["modelSummaries"] = []map[string]string{{"modelId": "amazon.titan-text", "providerName": "Amazon"}}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// SetPage is how many Bedrock keys a list names at once: IAM may name fewer than asked for.
func (f *Fake) SetPage(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.perPage = n
}

func (f *Fake) listServiceSpecificCredentials(caller *key, form url.Values) (string, *apiError) {
	if form.Get("AllUsers") != "true" {
		if _, refusal := f.named(caller, form); refusal != nil {
			return "", refusal
		}
	}
	var all []*bedrockKey
	for _, b := range f.bedrockKeys() {
		if form.Get("AllUsers") == "true" || b.owner.name == form.Get("UserName") {
			all = append(all, b)
		}
	}
	from, _ := strconv.Atoi(form.Get("Marker"))
	from = max(0, min(from, len(all)))
	to := min(from+f.perPage, len(all))
	var out strings.Builder
	for _, b := range all[from:to] {
		status := b.status
		if status == "Inactive" && f.knobs.Live(&b.revocation) { // IAM's lists are as late as its changes
			status = "Active"
		}
		out.WriteString("<member>" + element("UserName", b.owner.name) + element("ServiceName", "bedrock.amazonaws.com") +
			element("ServiceSpecificCredentialId", b.id) + element("ServiceCredentialAlias", b.alias) +
			element("Status", status) + element("CreateDate", b.created.UTC().Format(xmlTime)) + "</member>")
	}
	more := element("IsTruncated", strconv.FormatBool(to < len(all)))
	if to < len(all) {
		more += element("Marker", strconv.Itoa(to))
	}
	return "<ServiceSpecificCredentials>" + out.String() + "</ServiceSpecificCredentials>" + more, nil
}

func (f *Fake) updateServiceSpecificCredential(caller *key, form url.Values) (string, *apiError) {
	u, refusal := f.named(caller, form)
	if refusal != nil {
		return "", refusal
	}
	for _, b := range f.bedrockKeys() {
		if b.owner != u || b.id != form.Get("ServiceSpecificCredentialId") {
			continue
		}
		switch status := form.Get("Status"); status {
		case "Inactive":
			f.knobs.Revoke(&b.revocation)
			b.status = status
		case "Active":
			b.revocation, b.status = fake.Revocation{}, status
		default:
			return "", &apiError{400, "ValidationError", "Value at 'status' failed to satisfy constraint"}
		}
		return "", nil
	}
	return "", notFound("No such credential " + form.Get("ServiceSpecificCredentialId") + " exists")
}
