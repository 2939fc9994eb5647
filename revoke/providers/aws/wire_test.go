package aws_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"clawback/revoke/credential"
	"clawback/revoke/providers/aws"
)

var providerNew = aws.New

// as builds the SDK's own clients, which are generated from AWS's models: what they read of the
// fake's answers has AWS's shapes.
func (w world) as(c credential.Credential) (*sts.Client, *iam.Client) {
	keys := sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{
			AccessKeyID: c.Secret.Reveal("access_key_id"), SecretAccessKey: c.Secret.Reveal("secret_access_key"),
			SessionToken: c.Secret.Reveal("session_token"),
		}, nil
	})
	return sts.New(sts.Options{Region: "us-east-1", HTTPClient: w.net.Client(), Credentials: keys, Retryer: sdk.NopRetryer{},
			BaseEndpoint: sdk.String("https://sts.amazonaws.com")}),
		iam.New(iam.Options{Region: "us-east-1", HTTPClient: w.net.Client(), Credentials: keys, Retryer: sdk.NopRetryer{},
			BaseEndpoint: sdk.String("https://iam.amazonaws.com")})
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestFakeAnswersInAWSShapes(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx := t.Context()
		victim := w.MintFor("deploy")
		_, admin := w.as(w.authority())
		_, own := w.as(victim)
		adminSTS, _ := w.as(w.authority())
		id := sdk.String(victim.Secret.Reveal("access_key_id"))

		user, err := own.GetUser(ctx, &iam.GetUserInput{})
		if err != nil || *user.User.UserName != "deploy" || !strings.HasSuffix(*user.User.Arn, ":user/deploy") || user.User.CreateDate == nil {
			t.Fatalf("GetUser: %+v, %v", user, err)
		}
		minted, err := own.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
		if err != nil || *minted.AccessKey.UserName != "deploy" || minted.AccessKey.Status != types.StatusTypeActive {
			t.Fatalf("CreateAccessKey: %+v, %v", minted, err)
		}
		if _, err := own.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}); codeOf(err) != "LimitExceeded" {
			t.Errorf("third key: %v", err)
		}
		list, err := admin.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: sdk.String("deploy")})
		if err != nil || len(list.AccessKeyMetadata) != 2 || list.IsTruncated || list.AccessKeyMetadata[0].CreateDate == nil {
			t.Fatalf("ListAccessKeys: %+v, %v", list, err)
		}
		used, err := admin.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: id})
		if err != nil || *used.UserName != "deploy" || *used.AccessKeyLastUsed.Region != "N/A" {
			t.Fatalf("GetAccessKeyLastUsed: %+v, %v", used, err)
		}
		account, err := adminSTS.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: id})
		if err != nil || *account.Account != w.Account() {
			t.Fatalf("GetAccessKeyInfo: %+v, %v", account, err)
		}
		var missing *types.NoSuchEntityException
		_, err = admin.GetUser(ctx, &iam.GetUserInput{UserName: sdk.String("nobody")})
		if !errors.As(err, &missing) {
			t.Errorf("GetUser of nobody: %v", err)
		}
		var malformed *types.MalformedPolicyDocumentException
		_, err = admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: sdk.String("deploy"), PolicyName: sdk.String("p"), PolicyDocument: sdk.String("{")})
		if !errors.As(err, &malformed) {
			t.Errorf("PutUserPolicy of half a policy: %v", err)
		}
		if _, err := own.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{AccessKeyId: id, Status: types.StatusTypeInactive}); codeOf(err) != "AccessDenied" {
			t.Errorf("a key makes itself inactive without permission: %v", err)
		}
		if _, err := admin.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: sdk.String("deploy"), AccessKeyId: id}); err != nil {
			t.Errorf("DeleteAccessKey: %v", err)
		}
		if _, err := own.GetUser(ctx, &iam.GetUserInput{}); codeOf(err) != "InvalidClientTokenId" {
			t.Errorf("a deleted key: %v", err)
		}
		if _, err := admin.GetRole(ctx, &iam.GetRoleInput{RoleName: sdk.String("x")}); codeOf(err) != "InvalidAction" {
			t.Errorf("an action that the fake does not know: %v", err)
		}
	})
}

func TestDenyStopsAllButGetCallerIdentity(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx := t.Context()
		victim := w.MintFor("deploy")
		_, admin := w.as(w.authority())
		stsOwn, own := w.as(victim)
		session, err := stsOwn.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		w.Knobs().SetLag(4 * time.Second)
		_, err = admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: sdk.String("deploy"), PolicyName: sdk.String("p"),
			PolicyDocument: sdk.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := own.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}); err != nil {
			t.Errorf("the deny bites at once: %v", err)
		}
		time.Sleep(4 * time.Second)
		if _, err := own.GetUser(ctx, &iam.GetUserInput{}); codeOf(err) != "AccessDenied" || !strings.Contains(err.Error(), "with an explicit deny in an identity-based policy") {
			t.Errorf("GetUser under the deny: %v", err)
		}
		if _, err := stsOwn.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
			t.Errorf("GetCallerIdentity under the deny: %v", err)
		}
		denied := fakeCredential(map[string]string{"access_key_id": *session.Credentials.AccessKeyId})
		if w.Alive(denied) {
			t.Error("a session that was minted before lives on under the deny")
		}
	})
}

func TestFakeOnOtherPaths(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		for path, want := range map[string]int{"/": 404, "/x": 404} {
			resp, err := w.net.Client().Get("https://sts.amazonaws.com" + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("GET %s: %d", path, resp.StatusCode)
			}
		}
		resp, err := w.net.Client().PostForm("https://sts.amazonaws.com/", map[string][]string{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden || resp.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("without a signature: %d", resp.StatusCode)
		}
	})
}
