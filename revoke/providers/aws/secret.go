package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const (
	describeSecret = "secretsmanager.DescribeSecret"
	updateStage    = "secretsmanager.UpdateSecretVersionStage"

	secretsHost  = "secretsmanager.us-east-1.amazonaws.com" // others have their region in its place
	currentStage = "AWSCURRENT"
	// takenStage begins the label that stands for one which was taken, so that it can be put back.
	takenStage = "clawback-took-"
)

var (
	secretARN   = lazyregexp.New(`\Aarn:aws:secretsmanager:([a-z]{2}(?:-[a-z]{2,10}){1,3}-[0-9]{1,2}):([0-9]{12}):secret:[\w/+=.@-]{1,519}\z`)
	versionID   = lazyregexp.New(`\A[A-Za-z0-9-]{32,64}\z`)
	stageLabels = lazyregexp.New(`\A[\x21-\x7e]{1,200}\z`)
)

// secretVersion is one version of a secret in Secrets Manager.
type secretVersion struct {
	responder
	arn, id, region, base string
}

func (p *provider) secretVersion(ctx context.Context, c credential.Credential) (secretVersion, error) {
	v := secretVersion{arn: c.Ref["secret"], id: c.Ref["id"]}
	named := secretARN.FindStringSubmatch(v.arn)
	if named == nil || !versionID.MatchString(v.id) {
		return v, errors.New("aws: what is known of the secret's version does not name it")
	}
	v.region = named[1]
	v.base = cmp.Or(p.pinned, "https://"+strings.Replace(secretsHost, region, v.region, 1))
	var err error
	v.responder, err = p.authority(ctx, keys{id: v.id})
	if err == nil && v.is.account != named[2] {
		err = fmt.Errorf("aws: the secret is of account %s, the authority of %s: %w", named[2], v.is.account, revoke.ErrNoAuthority)
	}
	return v, err
}

func (v secretVersion) action(target string) jsonAction {
	return jsonAction{"secretsmanager", v.region, v.base, target}
}

// labels lists the version's staging labels; a version without any is not shown:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
func (v secretVersion) labels(ctx context.Context) ([]string, *failure) {
	var out struct {
		ARN                string
		VersionIdsToStages map[string][]string
	}
	f := v.ask(ctx, v.action(describeSecret), map[string]string{"SecretId": v.arn}, &out)
	switch {
	case f.is(400, "ResourceNotFoundException"):
		return nil, nil
	case f != nil:
		return nil, f
	case out.ARN != v.arn:
		return nil, &failure{action: "DescribeSecret", status: 200, answer: "200 without the secret"}
	}
	labels := out.VersionIdsToStages[v.id]
	slices.Sort(labels)
	return labels, nil
}

// inUse are the labels by which the version is asked for.
func inUse(labels []string) []string {
	return slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return strings.HasPrefix(l, takenStage) })
}

// move attaches a label to the version, or takes it off:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
func (v secretVersion) move(ctx context.Context, label string, on bool) *failure {
	in := map[string]string{"SecretId": v.arn, "VersionStage": label}
	if on {
		in["MoveToVersionId"] = v.id
	} else {
		in["RemoveFromVersionId"] = v.id
	}
	var out struct{ ARN string }
	f := v.ask(ctx, v.action(updateStage), in, &out)
	if f == nil && out.ARN != v.arn {
		return &failure{action: "UpdateSecretVersionStage", status: 200, answer: "200 without the secret"}
	}
	return f
}

// swap puts one label in the place of another. The new one comes first: a version that has none may be
// deleted at any time.
func (v secretVersion) swap(ctx context.Context, labels []string, from, to string) *failure {
	if !slices.Contains(labels, to) {
		if f := v.move(ctx, to, true); f != nil {
			return f
		}
	}
	return v.move(ctx, from, false)
}

// revokeSecret takes the version's labels. Secrets Manager has no call that ends a version, and that
// of the current one can only be given to another.
func (p *provider) revokeSecret(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	v, err := p.secretVersion(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	labels, f := v.labels(ctx)
	used := inUse(labels)
	switch {
	case f != nil:
		return revoke.Receipt{}, f
	case len(used) == 0:
		return revoke.Receipt{Already: true, Answer: "the version has no staging label"}, nil
	case slices.Contains(used, currentStage):
		return revoke.Receipt{}, fmt.Errorf("aws: it is the secret's current version: rotate the secret, then this one is an older version: %w", revoke.ErrManual)
	}
	r := revoke.Receipt{Answer: "200 UpdateSecretVersionStage", Left: []string{
		"what the secret opens: only its rotation there ends that",
		"who may read the secret can read the version by its id until Secrets Manager deletes it, which it may do once its labels " + takenStage + "… are gone",
	}}
	for _, label := range used {
		if !stageLabels.MatchString(label) {
			return r, errors.New("aws: the version has an impossible label")
		}
		if f := v.swap(ctx, labels, label, takenStage+label); f != nil {
			return r, f
		}
		r.Did = append(r.Did, "label "+label+" taken from version "+v.id)
	}
	return r, nil
}

func (p *provider) undoSecret(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	v, err := p.secretVersion(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	labels, f := v.labels(ctx)
	if f != nil {
		return revoke.Receipt{}, f
	}
	r := revoke.Receipt{Answer: "200 UpdateSecretVersionStage"}
	for _, taken := range labels {
		label, ours := strings.CutPrefix(taken, takenStage)
		if !ours || !stageLabels.MatchString(label) {
			continue
		}
		if f := v.swap(ctx, labels, taken, label); f != nil {
			return r, f
		}
		r.Did = append(r.Did, "label "+label+" given back to version "+v.id)
	}
	if len(r.Did) == 0 {
		return revoke.Receipt{Already: true, Answer: "no label was taken from the version"}, nil
	}
	return r, nil
}

// verifySecret never calls a version dead: one without labels can still be read by its id.
func (p *provider) verifySecret(ctx context.Context, c credential.Credential) revoke.Verdict {
	v, err := p.secretVersion(ctx, c)
	var f *failure
	switch {
	case errors.As(err, &f):
		return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
	case err != nil:
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), credential.Secret{})}
	}
	labels, f := v.labels(ctx)
	switch used := inUse(labels); {
	case f != nil:
		return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
	case len(used) > 0:
		return revoke.Verdict{Outcome: revoke.Alive, Answer: revoke.Answer(200, "DescribeSecret shows the version as "+strings.Join(used, ", "), v.hide)}
	}
	return revoke.Verdict{Answer: "200 DescribeSecret shows no label by which the version is asked for"}
}

func (p *provider) inspectSecret(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v, err := p.secretVersion(ctx, c)
	if err != nil {
		return revoke.Exposure{}, err
	}
	labels, f := v.labels(ctx)
	if f != nil {
		return revoke.Exposure{}, f
	}
	return revoke.Exposure{
		Account: v.is.account, Reach: []string{v.arn},
		Answer: revoke.Answer(200, "DescribeSecret: "+cmp.Or(strings.Join(labels, ", "), "no label"), v.hide),
	}, nil
}
