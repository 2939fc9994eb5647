package peers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/playbooks/platform/cloud"
	"clawback/playbooks/platform/cloud/armfake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

type fixedToken string

func (f fixedToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// known holds each thing of the network's that is sent or answered against Microsoft's own types: what
// these do not know is lost on its way through them.
type known struct {
	t    *testing.T
	next http.RoundTripper
	seen map[string]int
}

func (k *known) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		k.through(r, body, "sent")
	}
	resp, err := k.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if resp.StatusCode < 300 && len(answer) > 0 {
		k.through(r, answer, "answered")
	}
	return resp, nil
}

func (k *known) through(r *http.Request, text []byte, how string) {
	var typed any
	switch {
	case strings.Contains(r.URL.Path, "/networkInterfaces/"):
		typed = new(armnetwork.Interface)
	case strings.Contains(r.URL.Path, "/networkSecurityGroups/"):
		typed = new(armnetwork.SecurityGroup)
	default:
		return
	}
	var before, after any
	err := json.Unmarshal(text, typed)
	again, err2 := json.Marshal(typed)
	if err != nil || err2 != nil || json.Unmarshal(text, &before) != nil || json.Unmarshal(again, &after) != nil || !reflect.DeepEqual(before, after) {
		k.t.Errorf("%s %s %s:\n%s\nis to Microsoft (%v, %v)\n%s", how, r.Method, r.URL.Path, text, err, err2, again)
	}
	k.seen[how+" "+r.Method]++
}

// What we send to Resource Manager and what our fake of it answers is what Microsoft's client knows,
// and that client gets along with the fake.
func TestARM(t *testing.T) {
	token := rand.Text()
	f := armfake.New(fake.Wall{}, token)
	f.AddGroup("web", 22)
	f.AddMachine("agent-1", "web", "")
	n := fake.NewNetwork()
	n.Handle("management.azure.com", f)
	defer func() { _ = n.Close() }()
	client := n.Client()
	k := &known{t: t, next: client.Transport, seen: map[string]int{}}
	client.Transport = k
	m, err := cloud.NewAzure(cloud.Azure{Subscription: armfake.Subscription, Group: armfake.Group, VM: "agent-1",
		From: []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8::7/128")}},
		revoke.Env{HTTP: client, Now: time.Now, Sleep: func(context.Context, time.Duration) error { return nil },
			Authority: func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Kind: "azure.access_token", Secret: credential.NewSecret(map[string]string{"management": token})}, nil
			}})
	if err != nil {
		t.Fatal(err)
	}
	var was []incident.PlatformWas
	if _, err := m.Isolate(t.Context(), platform.Order{Incident: "INC-1", Intent: func(w []incident.PlatformWas) error { was = append(was, w...); return nil }}); err != nil {
		t.Fatal(err)
	}
	if k.seen["sent PUT"] != 3 || k.seen["answered GET"] == 0 || k.seen["answered PUT"] != 3 {
		t.Errorf("seen: %v", k.seen)
	}

	options := &azarm.ClientOptions{ClientOptions: policy.ClientOptions{Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}}, DisableRPRegistration: true}
	interfaces, err := armnetwork.NewInterfacesClient(armfake.Subscription, fixedToken(token), options)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := armnetwork.NewSecurityGroupsClient(armfake.Subscription, fixedToken(token), options)
	if err != nil {
		t.Fatal(err)
	}
	is, err := interfaces.Get(t.Context(), armfake.Group, "agent-1-nic0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := *is.Properties.NetworkSecurityGroup.ID
	ours = ours[strings.LastIndexByte(ours, '/')+1:]
	group, err := groups.Get(t.Context(), armfake.Group, ours, nil)
	if err != nil || len(group.Properties.SecurityRules) != 6 || *group.Properties.ProvisioningState != armnetwork.ProvisioningStateSucceeded {
		t.Fatalf("%v, %+v", err, group)
	}
	poll := &runtime.PollUntilDoneOptions{Frequency: time.Second}
	is.Properties.NetworkSecurityGroup = &armnetwork.SecurityGroup{ID: to.Ptr(armfake.ID("networkSecurityGroups", "web"))}
	change, err := interfaces.BeginCreateOrUpdate(t.Context(), armfake.Group, "agent-1-nic0", is.Interface, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := change.PollUntilDone(t.Context(), poll); err != nil || f.Of("agent-1")[0] != "web" {
		t.Errorf("%v, %v", err, f.Of("agent-1"))
	}
	if _, err := m.Restore(t.Context(), "INC-1", was); err != nil || len(f.Groups()) != 1 {
		t.Errorf("%v, %v", err, f.Groups())
	}
}
