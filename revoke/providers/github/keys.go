package github

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const (
	kindDeployKey  = "github.deploy_key"
	kindSSHKey     = "github.ssh_key"
	kindSigningKey = "github.signing_key"

	maxKeyFile = 16 << 10 // bytes of a private key: one of RSA with 16,384 bits has 13 KB
)

// What of a Ref may become part of an address, or is compared: it may come from a hostile host.
var (
	number      = lazyregexp.New(`\A[1-9][0-9]{0,17}\z`)
	login       = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z_-]{0,99}\z`)
	repository  = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z_-]{0,99}/[0-9A-Za-z._-]{0,98}[0-9A-Za-z_-]\z`) // not ".."
	fingerprint = lazyregexp.New(`\ASHA256:[0-9A-Za-z+/]{43}\z`)
)

// errUnnamed is of a key that nothing tells from the others, or that stands in nobody knows which
// repository.
var errUnnamed = errors.New("not asked")

// wanted is a key as it can be found in a list.
type wanted struct {
	id          int64    // where the fingerprint is not known
	fingerprint string   // of the public key, as ssh-keygen -l shows it
	own         string   // the list that an authority reads and deletes from, below the base
	public      []string // the list of its user that everybody may read
}

// publicKey is a key in a list, of whichever kind.
type publicKey struct {
	ID       int64  `json:"id"`
	Key      string `json:"key"`
	Title    string `json:"title"`
	ReadOnly *bool  `json:"read_only"` // of deploy keys
	AddedBy  string `json:"added_by"`
}

// lookedKey is what the lists showed.
type lookedKey struct {
	revoke.Verdict
	key publicKey // where it is there
	err error     // why nobody was asked, or what the authority met
}

func isKey(kind string) bool {
	return kind == kindDeployKey || kind == kindSSHKey || kind == kindSigningKey
}

// wantedOf takes the fingerprint from the private key before it believes the Ref.
func wantedOf(c credential.Credential) (wanted, error) {
	var w wanted
	print, err := fingerprintOf(c)
	switch {
	case err != nil:
		return w, err
	case print != "":
		w.fingerprint = print
	case number.MatchString(c.Ref["id"]):
		w.id, _ = strconv.ParseInt(c.Ref["id"], 10, 64)
	default:
		return w, fmt.Errorf("%w: neither its public key nor its id is known", errUnnamed)
	}
	switch c.Kind {
	case kindSSHKey:
		w.own = "user/keys"
	case kindSigningKey:
		w.own = "user/ssh_signing_keys"
	default:
		repo := c.Ref["repository"]
		if !repository.MatchString(repo) {
			return w, fmt.Errorf("%w: its repository is not known", errUnnamed)
		}
		w.own = "repos/" + repo + "/keys"
		return w, nil
	}
	if user := c.Ref["user"]; login.MatchString(user) {
		w.public = []string{"users/" + user + strings.TrimPrefix(w.own, "user")}
	} else if user != "" {
		return w, fmt.Errorf("%w: its user is no name that GitHub has", errUnnamed)
	}
	return w, nil
}

// fingerprintOf names the public key. An OpenSSH file shows that in spite of a passphrase.
func fingerprintOf(c credential.Credential) (string, error) {
	said := c.Ref["public_key"]
	if said != "" && !fingerprint.MatchString(said) {
		return "", fmt.Errorf("%w: its Ref names no fingerprint", errUnnamed)
	}
	value := c.Secret.Reveal("value")
	if value == "" {
		return said, nil
	}
	if len(value) > maxKeyFile {
		return "", fmt.Errorf("%w: the value is too long for a private key", errUnnamed)
	}
	signer, err := ssh.ParsePrivateKey([]byte(value))
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return ssh.FingerprintSHA256(signer.PublicKey()), nil
	case errors.As(err, &locked) && locked.PublicKey != nil:
		return ssh.FingerprintSHA256(locked.PublicKey), nil
	case said != "" && strings.Contains(value, "PRIVATE KEY-----"): // encrypted whole, or on a security key
		return said, nil
	}
	return "", fmt.Errorf("%w: the value is no private key", errUnnamed)
}

// is reports whether k is the key. Its error is for what is no key at all.
func (w wanted) is(k publicKey) (bool, error) {
	fields := strings.Fields(k.Key)
	if k.ID <= 0 || len(fields) < 2 {
		return false, errors.New("an entry is no key")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return false, errors.New("an entry is no key")
	}
	if w.fingerprint == "" {
		return k.ID == w.id, nil
	}
	sum := sha256.Sum256(blob)
	return w.fingerprint == "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

// lookAtKey asks whether GitHub lists the key. The authority sees its own user's keys alone: where the
// key's user is known, their public list has to lack it, too.
func (p *provider) lookAtKey(ctx context.Context, c credential.Credential) lookedKey {
	w, err := wantedOf(c)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("not asked: %w", ctx.Err())
	}
	if err != nil {
		return lookedKey{Verdict: revoke.Verdict{Answer: err.Error()}, err: err}
	}
	token, err := p.authority(ctx)
	lists := append([]string{w.own}, w.public...)
	if err != nil {
		lists = w.public
	}
	l := lookedKey{Verdict: revoke.Verdict{Answer: fmt.Sprintf("not asked: %v", err)}, err: err}
	for _, list := range lists {
		if l = p.lookInList(ctx, w, list, token, c.Secret); l.Outcome != revoke.Refused {
			break
		}
	}
	return l
}

func (p *provider) lookInList(ctx context.Context, w wanted, list, token string, secret credential.Secret) lookedKey {
	secret = joined(secret, token)
	k, others, r := find(ctx, p, list, token, w.is)
	switch {
	case k != nil:
		return lookedKey{key: *k, Verdict: revoke.Verdict{
			Outcome: revoke.Alive, Answer: revoke.Answer(r.status, fmt.Sprintf("%s has it: %d %s", list, k.ID, k.Title), secret),
		}}
	case r.whole():
		return lookedKey{Verdict: revoke.Verdict{
			Outcome: revoke.Refused, Answer: revoke.Answer(r.status, fmt.Sprintf("%s does not have it, and has %d others", list, others), secret),
		}}
	}
	v, err := p.unlisted(r, secret)
	return lookedKey{Verdict: v, err: err}
}

// inspectKey tells where the key is listed.
func (p *provider) inspectKey(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.lookAtKey(ctx, c)
	switch {
	case l.Outcome == revoke.Alive:
	case l.err != nil:
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %w", label(c), l.err)
	default:
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %s", label(c), l.Answer)
	}
	e := revoke.Exposure{Account: c.Ref["user"], Answer: l.Answer}
	switch {
	case c.Kind == kindSigningKey:
		e.Reach = []string{"sign commits and tags in its user's name"}
	case c.Kind == kindSSHKey:
		e.Reach = []string{"read and write every repository that its user may"}
	case l.key.ReadOnly != nil && *l.key.ReadOnly:
		e.Account, e.Reach = c.Ref["repository"], []string{"read the repository"}
	default:
		e.Account, e.Reach = c.Ref["repository"], []string{"read and write the repository"}
	}
	return e, nil
}

// deleteKey looks for the key's id, and deletes that with the authority.
// https://docs.github.com/rest/deploy-keys/deploy-keys#delete-a-deploy-key
// https://docs.github.com/rest/users/keys#delete-a-public-ssh-key-for-the-authenticated-user
// https://docs.github.com/rest/users/ssh-signing-keys#delete-an-ssh-signing-key-for-the-authenticated-user
func (p *provider) deleteKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	w, err := wantedOf(c)
	if errors.Is(err, errUnnamed) {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", err, revoke.ErrManual)
	}
	token, err := p.authority(ctx)
	if err != nil {
		return revoke.Receipt{}, err
	}
	switch l := p.lookAtKey(ctx, c); {
	case ctx.Err() != nil:
		return revoke.Receipt{}, fmt.Errorf("nothing was changed: %w", ctx.Err())
	case l.Outcome == revoke.Refused:
		return revoke.Receipt{Already: true, Answer: l.Answer}, nil
	case l.Outcome != revoke.Alive:
		return revoke.Receipt{}, l.err
	default:
		w.id = l.key.ID
	}
	secret := joined(c.Secret, token)
	r := p.send(ctx, http.MethodDelete, w.own+"/"+strconv.FormatInt(w.id, 10), token, nil, nil)
	if err := r.mutationError(p.env.Now(), secret); err != nil {
		return revoke.Receipt{}, err
	}
	switch {
	case r.status == http.StatusNoContent:
		return revoke.Receipt{Answer: r.answer(secret), Did: []string{fmt.Sprintf("deleted key %d from %s", w.id, w.own)}}, nil
	case r.denied():
		return revoke.Receipt{}, fmt.Errorf("%w: it may see the key, and not delete it: %s", revoke.ErrAuthority, r.answer(secret))
	}
	return revoke.Receipt{}, r.unexpected(secret)
}

// keyPropagation is a caution of ours: GitHub names no time.
var keyPropagation = revoke.Propagation{
	Budget: propagation.Budget, Every: propagation.Every, Refusals: propagation.Refusals,
	Source: "clawback's own margin: https://docs.github.com/rest/deploy-keys/deploy-keys names no time",
}

// keyKinds are ended by an authority. What no list has was never there, or the host named somebody
// else's list: only a key that was seen in it is proved gone.
func keyKinds() []revoke.KindInfo {
	kind := func(name, authority, effect, source, link string, steps ...string) revoke.KindInfo {
		return revoke.KindInfo{
			Kind: name, Authority: authority, Effect: effect, Source: source, Link: link, Steps: steps,
			ByRef: true, NeedsAlive: true, Propagation: keyPropagation,
		}
	}
	const find = "Find the key by its fingerprint (ssh-keygen -lf) and delete it."
	return []revoke.KindInfo{
		kind(kindDeployKey, "token of an administrator of the repository: repo (classic), or Administration (write)",
			"what uses the key can no longer reach its repository",
			"https://docs.github.com/rest/deploy-keys/deploy-keys#delete-a-deploy-key",
			"https://docs.github.com/authentication/connecting-to-github-with-ssh/managing-deploy-keys",
			"Where the key's repository is not known: ssh -T -i KEY git@github.com, on a machine that is not under suspicion, greets with its name (owner/repository), or with its user's, and then it is no deploy key.",
			"Open the repository, then Settings, Deploy keys.", find),
		kind(kindSSHKey, "token of the key's own user: admin:public_key (classic), or Git SSH keys (write)",
			"Git over SSH refuses the key",
			"https://docs.github.com/rest/users/keys#delete-a-public-ssh-key-for-the-authenticated-user",
			"https://github.com/settings/keys",
			"Signed in as the key's user, open the link (Settings, SSH and GPG keys).", find),
		kind(kindSigningKey, "token of the key's own user: admin:ssh_signing_key (classic), or SSH signing keys (write)",
			"GitHub verifies nothing more that it signs",
			"https://docs.github.com/rest/users/ssh-signing-keys#delete-an-ssh-signing-key-for-the-authenticated-user",
			"https://github.com/settings/keys",
			"Signed in as the key's user, open the link (Settings, SSH and GPG keys), and there Signing keys.", find),
	}
}
