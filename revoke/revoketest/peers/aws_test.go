package peers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/providers/aws/awsfake"
	"clawback/revoke/wire"
)

// common are the errors that no operation's model has, since every service may say them:
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, and
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/CommonErrors.html
var common = []string{
	"AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
	"Throttling", "ThrottlingException", "ValidationError",
}

// former are errors that the models had once, and that the provider still reads.
var former = map[string]string{
	// To today's SDK the operation has no error of its own; https://docs.rs/rusoto_iam/0.47.0 has this one.
	"GetAccessKeyLastUsed": "NoSuchEntity",
}

// models holds each exchange with AWS against its models, from which the SDK's clients are generated:
// what is asked has the operation's parameters alone, the answer parses and has the operation's fields
// alone, and an error is the operation's own or common to all.
type models struct {
	t    *testing.T
	next http.RoundTripper
	seen map[string]bool
}

func (m *models) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := m.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if r.Method != http.MethodGet { // ListFoundationModels with a bearer token, of which there is no action
		if err := m.check(r, body, resp, answer); err != nil {
			m.t.Errorf("%s %s: %v", r.URL.Host, r.Header.Get("X-Amz-Target"), err)
		}
	}
	return resp, nil
}

func (m *models) check(r *http.Request, body []byte, resp *http.Response, answer []byte) error {
	client := &http.Client{Transport: replay{resp, answer}}
	keys := sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "-"}, nil
	})
	service, at, _ := strings.Cut(r.URL.Host, ".")
	base := sdk.String("https://" + service + "." + at)
	var api any
	switch {
	case service == "iam":
		api = iam.New(iam.Options{Region: "us-east-1", HTTPClient: client, Credentials: keys, Retryer: sdk.NopRetryer{}, BaseEndpoint: base})
	case service == "sts":
		api = sts.New(sts.Options{Region: "us-east-1", HTTPClient: client, Credentials: keys, Retryer: sdk.NopRetryer{}, BaseEndpoint: base})
	case service == "cloudtrail":
		api = cloudtrail.New(cloudtrail.Options{Region: "us-east-1", HTTPClient: client, Credentials: keys, Retryer: sdk.NopRetryer{}, BaseEndpoint: base})
	case service == "secretsmanager":
		api = secretsmanager.New(secretsmanager.Options{Region: "us-east-1", HTTPClient: client, Credentials: keys, Retryer: sdk.NopRetryer{}, BaseEndpoint: base})
	case service == "organizations":
		api = organizations.New(organizations.Options{Region: "us-east-1", HTTPClient: client, Credentials: keys, Retryer: sdk.NopRetryer{}, BaseEndpoint: base})
	default:
		return errors.New("a service that has no model here")
	}
	_, action, isJSON := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var form url.Values
	if !isJSON {
		var err error
		if form, err = url.ParseQuery(string(body)); err != nil {
			return err
		}
		action = form.Get("Action")
	}
	method := reflect.ValueOf(api).MethodByName(action)
	if !method.IsValid() {
		return fmt.Errorf("no operation %s", action)
	}
	in := reflect.New(method.Type().In(1).Elem())
	if isJSON {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(in.Interface()); err != nil {
			return fmt.Errorf("%s: what is asked: %w", action, err)
		}
	} else if err := fill(in.Elem(), form); err != nil {
		return fmt.Errorf("%s: what is asked: %w", action, err)
	}
	out := method.Call([]reflect.Value{reflect.ValueOf(m.t.Context()), in})
	m.seen[fmt.Sprintf("%s:%s %d", service, action, resp.StatusCode)] = true
	if err, _ := out[1].Interface().(error); err != nil || resp.StatusCode != http.StatusOK {
		return m.modeled(action, resp.StatusCode, err)
	}
	shape := method.Type().Out(0).Elem()
	if isJSON {
		var fields any
		if err := json.Unmarshal(answer, &fields); err != nil {
			return err
		}
		return has(shape, fields, action)
	}
	var root node
	if err := xml.Unmarshal(answer, &root); err != nil {
		return err
	}
	for _, child := range root.Children {
		if child.XMLName.Local == action+"Result" {
			return hasXML(shape, child, action)
		}
	}
	return nil
}

func (m *models) modeled(action string, status int, err error) error {
	var said smithy.APIError
	if !errors.As(err, &said) {
		return fmt.Errorf("%s: %d without an error of AWS's: %v", action, status, err)
	}
	var generic *smithy.GenericAPIError
	if errors.As(err, &generic) && !slices.Contains(common, said.ErrorCode()) && former[action] != said.ErrorCode() {
		return fmt.Errorf("%s: %s is neither an error of the operation nor common to all", action, said.ErrorCode())
	}
	m.seen[action+" "+said.ErrorCode()] = true
	return nil
}

// replay answers once more what was answered.
type replay struct {
	resp *http.Response
	body []byte
}

func (r replay) RoundTrip(req *http.Request) (*http.Response, error) {
	again := *r.resp
	again.Body, again.Request = io.NopCloser(bytes.NewReader(r.body)), req
	return &again, nil
}

// fill gives an operation's parameters the values of a form.
func fill(in reflect.Value, form url.Values) error {
	for name := range form {
		if name == "Action" || name == "Version" {
			continue
		}
		field := in.FieldByName(name)
		switch {
		case !field.IsValid():
			return fmt.Errorf("no parameter %s", name)
		case field.Kind() == reflect.String: // of a named type
			field.SetString(form.Get(name))
		case field.Type() == reflect.TypeFor[*string]():
			field.Set(reflect.ValueOf(sdk.String(form.Get(name))))
		case json.Unmarshal([]byte(form.Get(name)), field.Addr().Interface()) != nil:
			return fmt.Errorf("parameter %s is no %s", name, field.Type())
		}
	}
	return nil
}

func under(shape reflect.Type) reflect.Type {
	for shape.Kind() == reflect.Pointer {
		shape = shape.Elem()
	}
	return shape
}

// has reports a field of an answer that its shape does not have.
func has(shape reflect.Type, value any, at string) error {
	shape = under(shape)
	switch in := value.(type) {
	case map[string]any:
		for name, v := range in {
			next := shape
			if shape.Kind() == reflect.Map {
				next = shape.Elem()
			} else if field, ok := shape.FieldByName(name); ok {
				next = field.Type
			} else {
				return fmt.Errorf("%s has no %s", at, name)
			}
			if err := has(next, v, at+"."+name); err != nil {
				return err
			}
		}
	case []any:
		for _, v := range in {
			if err := has(shape.Elem(), v, at); err != nil {
				return err
			}
		}
	}
	return nil
}

type node struct {
	XMLName  xml.Name
	Children []node `xml:",any"`
}

func hasXML(shape reflect.Type, n node, at string) error {
	shape = under(shape)
	for _, child := range n.Children {
		name := child.XMLName.Local
		next := shape
		if shape.Kind() == reflect.Slice && name == "member" {
			next = shape.Elem()
		} else if shape.Kind() != reflect.Struct {
			return fmt.Errorf("%s is a %s and has no %s", at, shape, name)
		} else if field, ok := shape.FieldByName(name); ok {
			next = field.Type
		} else {
			return fmt.Errorf("%s has no %s", at, name)
		}
		if err := hasXML(next, child, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func TestAWSModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := awsfake.New(fake.Wall{})
		network := fake.NewNetwork(f)
		defer func() { _ = network.Close() }()
		transport := network.Transport()
		defer transport.CloseIdleConnections()
		m := &models{t, transport, make(map[string]bool)}
		admin, _ := f.MintAuthority()
		authority := admin
		env := revoke.Env{
			HTTP: &http.Client{Transport: m}, Sleep: fake.Wall{}.Sleep, Now: time.Now,
			Authority: func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Secret: authority.Secret, Kind: authority.Kind, From: "the test"}, nil
			},
		}
		guest, dead := f.MintFor("guest"), f.MintFor("gone")
		f.RevokeByHand(dead)
		for _, who := range []credential.Credential{admin, guest, dead} {
			authority = who
			for _, text := range []string{"{}", "delete_passwords: true"} {
				env.Settings = settings(text)
				everything(t, f, env)
			}
		}
		authority = admin
		for _, text := range []string{"{}", "delete_passwords: true"} {
			env.Settings = settings(text)
			more(t, f, m, env)
		}
		organized(t, f, env)
		for _, want := range []string{ // what the provider decides on
			"GetCallerIdentity InvalidClientTokenId", "ListAccountAliases ExpiredToken", "GetUser NoSuchEntity", "GetUserPolicy NoSuchEntity",
			"DeleteUserPolicy NoSuchEntity", "GetLoginProfile NoSuchEntity", "DeleteLoginProfile NoSuchEntity", "UpdateAccessKey NoSuchEntity",
			"GetAccessKeyLastUsed NoSuchEntity", "GetAccessKeyLastUsed AccessDenied", "PutUserPolicy AccessDenied", "PutRolePolicy UnmodifiableEntity",
			"LookupEvents AccessDeniedException", "LookupEvents ThrottlingException", "DescribeSecret ResourceNotFoundException", "DescribeSecret AccessDeniedException",
			"sts:GetAccessKeyInfo 200", "iam:GetLoginProfile 200", "iam:DeleteLoginProfile 200", "iam:ListAccessKeys 200", "iam:PutRolePolicy 200",
			"iam:ListServiceSpecificCredentials 200", "iam:UpdateServiceSpecificCredential 200", "secretsmanager:UpdateSecretVersionStage 200",
			"organizations:DescribePolicy 200", "organizations:UpdatePolicy 200", "organizations:ListTargetsForPolicy 200", "organizations:ListParents 200",
			"ListParents ChildNotFoundException", "DescribePolicy PolicyNotFoundException",
		} {
			if !m.seen[want] {
				t.Errorf("%s was not exchanged", want)
			}
		}
	})
}

// everything makes the provider ask all that it can of all kinds, alive and dead.
func everything(t *testing.T, f *awsfake.Fake, env revoke.Env) {
	t.Helper()
	p, err := aws.New(env)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range f.Kinds() {
		c := f.Mint(kind)
		unknown := f.Mint(kind)
		f.RevokeByHand(unknown)
		for _, c := range []credential.Credential{c, unknown} {
			for range 2 {
				_ = p.Verify(t.Context(), c)
				_, _ = p.Inspect(t.Context(), c)
				_, _ = p.(revoke.Enumerator).Minted(t.Context(), c)
				_, _ = p.Revoke(t.Context(), c)
			}
			_, _ = p.(revoke.Undoer).Undo(t.Context(), c)
		}
	}
}

// organized makes the provider ask the organization all that it can.
func organized(t *testing.T, f *awsfake.Fake, env revoke.Env) {
	t.Helper()
	policy, by := f.Organize()
	output, err := json.Marshal(map[string]any{
		"Version": 1, "AccessKeyId": by.Secret.Reveal("access_key_id"), "SecretAccessKey": by.Secret.Reveal("secret_access_key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"p-anotherone", policy} {
		f.Attach("root")
		env.Settings = func(into any) error {
			if err := yaml.Unmarshal([]byte("organization: {policy: "+id+", authority: {env: ORGANIZATION}}"), into); err != nil {
				return err
			}
			for _, held := range into.(wire.Holder).Held() {
				held.Load = func(context.Context) (credential.Secret, error) { return credential.Value(string(output)), nil }
			}
			return nil
		}
		everything(t, f, env)
		f.Attach("ou-abcd-12345678", "account")
		everything(t, f, env)
	}
	f.Leave()
	f.Attach("root")
	everything(t, f, env)
}

// more makes what is rare: a key of the root's, a console's password, a service's role, a secret that
// is not there, a session that ended.
func more(t *testing.T, f *awsfake.Fake, m *models, env revoke.Env) {
	t.Helper()
	p, err := aws.New(env)
	if err != nil {
		t.Fatal(err)
	}
	a, err := env.Authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{AccessKeyID: a.Secret.Reveal("access_key_id"), SecretAccessKey: a.Secret.Reveal("secret_access_key")}, nil
	})
	api := iam.New(iam.Options{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: m}, Credentials: keys, Retryer: sdk.NopRetryer{}, BaseEndpoint: sdk.String("https://iam.amazonaws.com"),
	})
	user := strings.ToLower(rand.Text())
	console := f.MintFor(user)
	if _, err := api.CreateLoginProfile(t.Context(), &iam.CreateLoginProfileInput{UserName: &user, Password: sdk.String("simulated")}); err != nil {
		t.Error(err)
	}
	named := f.MintFor("another")
	named.Secret = credential.NewSecret(map[string]string{"access_key_id": named.Secret.Reveal("access_key_id")})
	lost := f.Mint("aws.secret_version")
	lost.Ref["secret"] = lost.Ref["secret"][:len(lost.Ref["secret"])-6] + "nobody"
	session := f.MintSession("visitor", true)
	for _, c := range []credential.Credential{console, named, f.MintRoot(), f.MintRoleSession("AWSServiceRoleForSupport"), lost} {
		_, _ = p.Inspect(t.Context(), c)
		_, _ = p.Revoke(t.Context(), c)
		_ = p.Verify(t.Context(), c)
	}
	time.Sleep(40 * time.Hour)
	_ = p.Verify(t.Context(), session)
}
