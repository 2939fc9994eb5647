package awsfake

import (
	"encoding/json"
	"slices"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	describeSecret       = "secretsmanager.DescribeSecret"
	describeSecretAction = "secretsmanager:DescribeSecret"
	updateStage          = "secretsmanager.UpdateSecretVersionStage"
	updateStageAction    = "secretsmanager:UpdateSecretVersionStage"
)

// secret is a secret of Secrets Manager: the labels of its versions, and those that were taken from them.
type secret struct {
	stages map[string][]string
	taken  []*takenLabel
}

// takenLabel is a label that a version had until it was taken, and longer for nodes that lag.
type takenLabel struct {
	version, label string
	life           fake.Revocation
}

func (f *Fake) take(s *secret, version, label string) {
	t := &takenLabel{version: version, label: label}
	f.knobs.Revoke(&t.life)
	s.taken = append(s.taken, t)
	if s.stages[version] = slices.DeleteFunc(s.stages[version], func(l string) bool { return l == label }); len(s.stages[version]) == 0 {
		delete(s.stages, version) // deprecated: it is shown no more
	}
}

// shown are the labels of all versions as one node knows them.
func (s *secret) shown(live func(*fake.Revocation) bool) map[string][]string {
	all := make(map[string][]string)
	for version, labels := range s.stages {
		all[version] = slices.Clone(labels)
	}
	for _, t := range s.taken {
		if live(&t.life) && !slices.Contains(all[t.version], t.label) {
			all[t.version] = append(all[t.version], t.label)
		}
	}
	return all
}

func (f *Fake) inUse(s *secret, version string) bool {
	works := func(r *fake.Revocation) bool { return f.knobs.Works(*r) }
	return slices.ContainsFunc(s.shown(works)[version], func(label string) bool { return !strings.HasPrefix(label, "clawback-") })
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
	return map[string]any{"ARN": in.SecretId, "VersionIdsToStages": s.shown(f.knobs.Live)}, nil
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
		f.take(s, holder, in.VersionStage)
	}
	if in.MoveToVersionId != "" {
		s.taken = slices.DeleteFunc(s.taken, func(t *takenLabel) bool { return t.label == in.VersionStage && t.version == in.MoveToVersionId })
		s.stages[in.MoveToVersionId] = append(s.stages[in.MoveToVersionId], in.VersionStage)
	}
	return map[string]any{"ARN": in.SecretId}, nil
}
