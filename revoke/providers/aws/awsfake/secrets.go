package awsfake

import (
	"encoding/json"
	"slices"
	"strings"

	"clawback/revoke/credential"
)

const (
	describeSecret       = "secretsmanager.DescribeSecret"
	describeSecretAction = "secretsmanager:DescribeSecret"
	updateStage          = "secretsmanager.UpdateSecretVersionStage"
	updateStageAction    = "secretsmanager:UpdateSecretVersionStage"
)

// secret is a secret of Secrets Manager: the labels of its versions.
type secret struct{ stages map[string][]string }

func (s *secret) inUse(version string) bool {
	return slices.ContainsFunc(s.stages[version], func(label string) bool { return !strings.HasPrefix(label, "clawback-") })
}

// MintSecret makes a secret with a current version, and names the one that has these labels.
func (f *Fake) MintSecret(name string, labels ...string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	version, s := requestID(), &secret{stages: map[string][]string{}}
	if !slices.Contains(labels, "AWSCURRENT") {
		s.stages[requestID()] = []string{"AWSCURRENT"}
	}
	s.stages[version] = labels
	arn := "arn:aws:secretsmanager:us-east-1:" + f.account + ":secret:" + name + "-" + alphanumeric(6)
	f.secrets[arn] = s
	return credential.Credential{Provider: "aws", Kind: secretKind, Ref: map[string]string{"id": version, "secret": arn, "account": f.account}}
}

// Labels lists the labels of a version.
func (f *Fake) Labels(c credential.Credential) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.secrets[c.Ref["secret"]].stages[c.Ref["id"]]))
}

type secretRequest struct{ SecretId, VersionStage, MoveToVersionId, RemoveFromVersionId string }

func (f *Fake) secretIn(body []byte) (in secretRequest, s *secret, refusal *apiError) {
	if json.Unmarshal(body, &in) != nil {
		return in, nil, &apiError{400, "SerializationException", ""}
	}
	if s = f.secrets[in.SecretId]; s == nil {
		return in, nil, &apiError{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	}
	return in, s, nil
}

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
func (f *Fake) describeSecret(body []byte) (map[string]any, *apiError) {
	in, s, refusal := f.secretIn(body)
	if refusal != nil {
		return nil, refusal
	}
	return map[string]any{"ARN": in.SecretId, "VersionIdsToStages": s.stages}, nil
}

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
func (f *Fake) updateStage(body []byte) (map[string]any, *apiError) {
	in, s, refusal := f.secretIn(body)
	if refusal != nil {
		return nil, refusal
	}
	invalid := func(why string) (map[string]any, *apiError) {
		return nil, &apiError{400, "InvalidParameterException", why}
	}
	holder := ""
	for version, labels := range s.stages {
		if slices.Contains(labels, in.VersionStage) {
			holder = version
		}
	}
	switch {
	case in.VersionStage == "" || in.MoveToVersionId == "" && in.RemoveFromVersionId == "":
		return invalid("You must specify a label, and a version.")
	case in.VersionStage == "AWSCURRENT" && in.MoveToVersionId == "":
		return invalid("You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.")
	case in.RemoveFromVersionId != holder:
		return invalid("The label is attached to another version, or to none.")
	}
	if holder != "" {
		s.stages[holder] = slices.DeleteFunc(s.stages[holder], func(l string) bool { return l == in.VersionStage })
		if len(s.stages[holder]) == 0 {
			delete(s.stages, holder) // deprecated: it is shown no more
		}
	}
	if in.MoveToVersionId != "" {
		s.stages[in.MoveToVersionId] = append(s.stages[in.MoveToVersionId], in.VersionStage)
	}
	return map[string]any{"ARN": in.SecretId}, nil
}
