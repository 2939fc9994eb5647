package awsfake

import (
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"clawback/revoke/fake"
)

const maxRequest = 1 << 20

// service is one of the two Query APIs, told apart by the version that a request names.
type service struct {
	name, host, namespace, version string
}

var services = []service{
	{"sts", stsHost, "https://sts.amazonaws.com/doc/2011-06-15/", "2011-06-15"},
	{"iam", iamHost, "https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08"},
}

// apiError is what AWS answers instead of a result.
type apiError struct {
	status        int
	code, message string
}

var invalidToken = &apiError{403, "InvalidClientTokenId", "The security token included in the request is invalid."}

// ServeHTTP answers POST requests of the Query protocol:
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var form url.Values
	if target := targetOf(r); target != "" {
		form = url.Values{"Action": {target}}
	} else if err == nil {
		form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body))) // a fault may want to look at it
	call := fake.Call{
		Method: r.Method, Path: r.URL.Path, Action: form.Get("Action"),
		Adversary: r.Header.Get(fake.AdversaryHeader) != "",
	}
	if auth, ok := parseAuthorization(r.Header.Get("Authorization")); ok {
		call.Credential = f.mask(auth.keyID)
	}
	seen := &recorder{ResponseWriter: w, status: http.StatusOK}
	// Also for an answer that was cut, which ends the handler.
	defer func() { call.Status = seen.status; f.knobs.Record(call) }()
	f.knobs.Serve(seen, r, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, body, form) })
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request, body []byte, form url.Values) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Date", f.knobs.Now().UTC().Format(http.TimeFormat))
	if r.Method == http.MethodGet && r.URL.Path == "/foundation-models" {
		f.serveBedrock(w, r)
		return
	}
	// Not documented: this is how AWS's service framework answers what it cannot route.
	if r.Method != http.MethodPost || r.URL.Path != "/" && r.URL.Path != "" {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<UnknownOperationException/>\n")
		return
	}
	if targetOf(r) != "" {
		f.serveJSON(w, r, body)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	s, ok := serviceOf(r.Host, form.Get("Version"))
	if !ok {
		f.refuse(w, services[0], id, &apiError{400, "InvalidAction",
			"Could not find operation " + form.Get("Action") + " for version " + form.Get("Version")})
		return
	}
	action := form.Get("Action")
	result, refusal := f.answer(r, body, form, s)
	if refusal != nil {
		f.refuse(w, s, id, refusal)
		return
	}
	if result != "" {
		result = "<" + action + "Result>" + result + "</" + action + "Result>"
	}
	_, _ = io.WriteString(w, "<"+action+`Response xmlns="`+s.namespace+`">`+result+
		"<ResponseMetadata><RequestId>"+id+"</RequestId></ResponseMetadata></"+action+"Response>\n")
}

func (f *Fake) refuse(w http.ResponseWriter, s service, id string, e *apiError) {
	fault := "Sender"
	if e.status >= 500 {
		fault = "Receiver"
	}
	w.WriteHeader(e.status)
	_, _ = io.WriteString(w, `<ErrorResponse xmlns="`+s.namespace+`"><Error><Type>`+fault+"</Type>"+
		element("Code", e.code)+element("Message", e.message)+"</Error>"+element("RequestId", id)+"</ErrorResponse>\n")
}

// Throttled is the fault of a request over the account's rate, as IAM and STS send it.
func Throttled() fake.Fault {
	return fake.Fault{Status: 400, Type: "text/xml", Body: `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error>` +
		"<Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>" + requestID() + "</RequestId></ErrorResponse>\n"}
}

// serviceOf picks the service by version; a host of AWS's own serves its own service only.
func serviceOf(host, version string) (service, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, s := range services {
		if s.version == version && (host == s.host || !slices.Contains([]string{stsHost, iamHost, trailHost, bedrockHost, secretsHost, organizationsHost}, host)) {
			return s, true
		}
	}
	return service{}, false
}

// answer authenticates, authorizes and acts.
func (f *Fake) answer(r *http.Request, body []byte, form url.Values, s service) (string, *apiError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, refusal := f.authenticate(r, body, s)
	if refusal != nil {
		return "", refusal
	}
	name := s.name + ":" + form.Get("Action")
	act, ok := actions[name]
	if !ok {
		return "", &apiError{400, "InvalidAction", "Could not find operation " + form.Get("Action") + " for version " + s.version}
	}
	f.result = nil
	result := ""
	if refusal = f.authorize(k, name); refusal == nil {
		result, refusal = act(f, k, form)
	}
	f.record(k, s, form, refusal)
	return result, refusal
}

// authenticate checks the signature.
func (f *Fake) authenticate(r *http.Request, body []byte, s service) (*key, *apiError) {
	if r.Header.Get("Authorization") == "" {
		return nil, &apiError{403, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	}
	auth, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return nil, &apiError{400, "IncompleteSignature", "Authorization header is incomplete."}
	}
	k := f.keys[auth.keyID]
	if k == nil || !f.knobs.Live(&k.revocation) || r.Header.Get("X-Amz-Security-Token") != k.token {
		return nil, invalidToken
	}
	if f.expired(k) {
		return nil, &apiError{403, "ExpiredToken", "The security token included in the request is expired"}
	}
	if fault := auth.fault(r, body, k.secret, s.name, f.knobs.Now()); fault != "" {
		return nil, &apiError{403, "SignatureDoesNotMatch", fault}
	}
	// IAM takes a session of GetSessionToken only with MFA, and says it in these words.
	if s.name == "iam" && k.token != "" && k.owner.kind == "user" && !k.mfa {
		return nil, invalidToken
	}
	return k, nil
}

func element(name, text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text))
	return "<" + name + ">" + out.String() + "</" + name + ">"
}
