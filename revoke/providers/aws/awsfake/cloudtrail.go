package awsfake

import (
	"cmp"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	lookupEvents = "CloudTrail_20131101.LookupEvents"
	jsonType     = "application/x-amz-json-1.1"

	trailDays = 90 * 24 * time.Hour
	trailPage = 50
	trailRate = 2 // requests a second
)

// event is one record of CloudTrail.
type event struct {
	at          time.Time
	name, keyID string
	text        string
}

// targetOf is the action of a request in the JSON protocol, and "" for any other.
func targetOf(r *http.Request) string {
	if r.Header.Get("Content-Type") != jsonType {
		return ""
	}
	target := r.Header.Get("X-Amz-Target")
	return target[strings.LastIndex(target, ".")+1:]
}

// SetTrailDelay makes events show in CloudTrail d after they happened.
func (f *Fake) SetTrailDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trailDelay = d
}

// record keeps what was to change something, and the sessions that were begun, in CloudTrail's words:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
func (f *Fake) record(k *key, s service, form url.Values, refusal *apiError) {
	action := form.Get("Action")
	if action == "GetCallerIdentity" || s.name == "iam" && (strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List")) ||
		action == "GetAccessKeyInfo" {
		return
	}
	request := map[string]any{}
	for name, values := range form {
		if name != "Action" && name != "Version" && name != "Password" {
			request[string(unicode.ToLower(rune(name[0])))+name[1:]] = values[0]
		}
	}
	identity := map[string]any{"principalId": k.owner.id, "arn": f.arn(k), "accountId": f.account, "accessKeyId": k.id}
	switch k.owner.kind {
	case "user":
		identity["type"], identity["userName"] = "IAMUser", k.owner.name
	case "role":
		identity["type"], identity["principalId"] = "AssumedRole", k.owner.id+":"+k.session
	default:
		identity["type"] = "Root"
	}
	at := f.knobs.Now().UTC()
	said := map[string]any{
		"eventVersion": "1.09", "eventTime": at.Format(time.RFC3339), "eventSource": s.host, "eventName": action,
		"awsRegion": "us-east-1", "userIdentity": identity, "requestParameters": request, "responseElements": f.result,
		"eventID": requestID(), "eventType": "AwsApiCall", "recipientAccountId": f.account, "managementEvent": true,
	}
	if refusal != nil {
		said["errorCode"], said["errorMessage"], said["responseElements"] = refusal.code, refusal.message, nil
	}
	text, err := json.Marshal(said)
	if err != nil {
		panic(err) // nothing but strings
	}
	f.events = append(f.events, event{at, action, k.id, string(text)})
}

// jsonActions are the operations of the JSON protocol, by target.
var jsonActions = map[string]struct {
	service
	action string
	act    func(*Fake, []byte) (map[string]any, *apiError)
}{
	lookupEvents:                              {service{name: "cloudtrail", host: trailHost}, "cloudtrail:LookupEvents", (*Fake).lookup},
	describeSecret:                            {service{name: "secretsmanager", host: secretsHost}, describeSecretAction, (*Fake).describeSecret},
	organizationsAPI + "DescribePolicy":       {organizations, "organizations:DescribePolicy", (*Fake).describePolicy},
	organizationsAPI + "UpdatePolicy":         {organizations, "organizations:UpdatePolicy", (*Fake).updatePolicy},
	organizationsAPI + "ListTargetsForPolicy": {organizations, "organizations:ListTargetsForPolicy", (*Fake).listTargets},
	organizationsAPI + "ListParents":          {organizations, "organizations:ListParents", (*Fake).listParents},

	updateStage: {service{name: "secretsmanager", host: secretsHost}, updateStageAction, (*Fake).updateStage},
}

// serveJSON answers a request of the JSON protocol.
func (f *Fake) serveJSON(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", jsonType)
	answer, refusal := f.actJSON(r, body)
	if refusal != nil {
		w.WriteHeader(refusal.status)
		answer = map[string]any{"__type": refusal.code, "message": refusal.message}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *Fake) actJSON(r *http.Request, body []byte) (map[string]any, *apiError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a, ok := jsonActions[r.Header.Get("X-Amz-Target")]
	if !ok || host != a.host && slices.Contains(f.Hosts(), host) {
		return nil, &apiError{400, "UnknownOperationException", ""}
	}
	k, refusal := f.authenticate(r, body, a.service)
	if refusal != nil {
		return nil, inJSON(refusal)
	}
	if refusal := f.authorize(k, a.action); refusal != nil {
		return nil, inJSON(refusal)
	}
	return a.act(f, body)
}

// lookup is LookupEvents:
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
func (f *Fake) lookup(body []byte) (map[string]any, *apiError) {
	now := f.knobs.Clock.Now()
	f.lookups = slices.DeleteFunc(f.lookups, func(at time.Time) bool { return now.Sub(at) >= time.Second })
	if len(f.lookups) >= trailRate {
		return nil, &apiError{400, "ThrottlingException", "Rate exceeded"}
	}
	f.lookups = append(f.lookups, now)
	return f.page(body)
}

func (f *Fake) page(body []byte) (map[string]any, *apiError) {
	var in struct {
		LookupAttributes []struct{ AttributeKey, AttributeValue string }
		MaxResults       int
		NextToken        string
	}
	if json.Unmarshal(body, &in) != nil || len(in.LookupAttributes) > 1 {
		return nil, &apiError{400, "InvalidLookupAttributesException", "Exactly one lookup attribute may be given."}
	}
	size := cmp.Or(in.MaxResults, trailPage)
	if size < 1 || size > trailPage {
		return nil, &apiError{400, "InvalidMaxResultsException", "A value between 1 and 50 is required."}
	}
	from := 0
	if in.NextToken != "" {
		n, err := strconv.Atoi(in.NextToken)
		if err != nil || n < 0 {
			return nil, &apiError{400, "InvalidNextTokenException", "Invalid token."}
		}
		from = n
	}
	now, found := f.knobs.Now(), []map[string]any{}
	for _, e := range slices.Backward(f.events) {
		age := now.Sub(e.at)
		if age < f.trailDelay || age > trailDays {
			continue
		}
		for _, a := range in.LookupAttributes {
			if map[string]string{"EventName": e.name, "AccessKeyId": e.keyID}[a.AttributeKey] != a.AttributeValue {
				e.text = ""
			}
		}
		if e.text != "" {
			found = append(found, map[string]any{"EventName": e.name, "AccessKeyId": e.keyID, "EventTime": e.at.Unix(), "CloudTrailEvent": e.text})
		}
	}
	from = min(from, len(found))
	answer := map[string]any{"Events": found[from:min(from+size, len(found))]}
	if from+size < len(found) {
		answer["NextToken"] = strconv.Itoa(from + size)
	}
	return answer, nil
}

// inJSON says a refusal as services of the JSON protocol do.
func inJSON(e *apiError) *apiError {
	code, ok := map[string]string{
		"InvalidClientTokenId": "UnrecognizedClientException", "ExpiredToken": "ExpiredTokenException",
		"SignatureDoesNotMatch": "InvalidSignatureException", "AccessDenied": "AccessDeniedException",
		"MissingAuthenticationToken": "MissingAuthenticationTokenException", "IncompleteSignature": "IncompleteSignatureException",
	}[e.code]
	if !ok {
		code = e.code
	}
	return &apiError{400, code, e.message}
}
