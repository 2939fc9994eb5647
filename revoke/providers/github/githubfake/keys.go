package githubfake

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	deployKey  = "github.deploy_key"
	sshKey     = "github.ssh_key"
	signingKey = "github.signing_key"

	// The account that people work with: the keys are its own, and so is the authority.
	person     = "mona"
	repository = person + "/payments"
	allScopes  = "repo, workflow, admin:public_key, admin:ssh_signing_key"
)

var keyKinds = []string{deployKey, sshKey, signingKey}

// key is the public half of one, with a title.
type key struct {
	id    int
	kind  string
	line  string // "ssh-ed25519 AAAA…"
	owner string // a user, or a repository
	life  fake.Revocation
}

// mintKey adds a key to its user or repository. The caller holds the lock.
func (f *Fake) mintKey(kind string) credential.Credential {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // crypto/rand ends the process before it fails
	}
	wire, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "deploy@agent")
	if err != nil {
		panic(err)
	}
	f.lastKey++
	k := &key{id: 7000 + f.lastKey, kind: kind, owner: person, line: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(wire)))}
	ref := map[string]string{"id": strconv.Itoa(k.id)}
	if kind == deployKey {
		k.owner = repository
		ref["repository"] = repository
	}
	f.keys = append(f.keys, k)
	return credential.Credential{Provider: f.Name(), Kind: kind, Secret: credential.Value(string(pem.EncodeToMemory(block))), Ref: ref}
}

// keyOf finds the key by its private half, or else by its id.
func (f *Fake) keyOf(c credential.Credential) *key {
	line := ""
	if signer, err := ssh.ParsePrivateKey([]byte(c.Secret.Reveal("value"))); err == nil {
		line = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	}
	i := slices.IndexFunc(f.keys, func(k *key) bool {
		return k.kind == c.Kind && (k.line == line || line == "" && strconv.Itoa(k.id) == c.Ref["id"])
	})
	if i < 0 {
		return nil
	}
	return f.keys[i]
}

// listed are the keys of a user or repository that a node still lists.
func (f *Fake) listed(kind, owner string) (keys []*key) {
	for _, k := range f.keys {
		if k.kind == kind && k.owner == owner && f.knobs.Live(&k.life) {
			keys = append(keys, k)
		}
	}
	return keys
}

// userKeys lists those of the user who asks.
func userKeys(kind, scope string) func(*Fake, *request) {
	return func(f *Fake, q *request) {
		if q.scoped(scope) {
			q.page(bodies(f.listed(kind, q.tok.login), f.keyBody))
		}
	}
}

// publicKeys are anybody's to read, in fewer words.
func publicKeys(kind string) func(*Fake, *request) {
	return func(f *Fake, q *request) {
		known := q.args[0] == person || slices.ContainsFunc(f.minted, func(t *token) bool { return t.login == q.args[0] })
		if !known {
			q.fail(http.StatusNotFound, "Not Found")
			return
		}
		q.page(bodies(f.listed(kind, q.args[0]), func(k *key) map[string]any {
			body := f.keyBody(k)
			if kind == sshKey {
				body = map[string]any{"id": k.id, "key": k.line}
			}
			return body
		}))
	}
}

func deployKeys(f *Fake, q *request) {
	if f.mayAdminister(q) {
		q.page(bodies(f.listed(deployKey, q.args[0]+"/"+q.args[1]), f.keyBody))
	}
}

func deleteUserKey(kind, scope string) func(*Fake, *request) {
	return func(f *Fake, q *request) {
		if q.scoped(scope) {
			f.deleteKey(q, kind, q.tok.login, q.args[0])
		}
	}
}

func deleteDeployKey(f *Fake, q *request) {
	if f.mayAdminister(q) {
		f.deleteKey(q, deployKey, q.args[0]+"/"+q.args[1], q.args[2])
	}
}

func (f *Fake) deleteKey(q *request, kind, owner, id string) {
	for _, k := range f.keys {
		if k.kind == kind && k.owner == owner && strconv.Itoa(k.id) == id && f.knobs.Live(&k.life) {
			f.knobs.Revoke(&k.life)
			q.w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	q.fail(http.StatusNotFound, "Not Found")
}

// mayAdminister lets through who owns the repository. GitHub says of others' that it does not find it.
func (f *Fake) mayAdminister(q *request) bool {
	if q.tok == nil || q.tok.login != q.args[0] || q.args[1] != "payments" || !q.tok.has("repo") {
		q.fail(http.StatusNotFound, "Not Found")
		return false
	}
	return true
}

// scoped lets a user's token with a scope through. GitHub does not find what a scope is missing for.
func (q *request) scoped(scope string) bool {
	switch {
	case q.tok == nil:
		q.fail(http.StatusUnauthorized, "Requires authentication")
	case q.tok.kind == integration:
		q.fail(http.StatusForbidden, "Resource not accessible by integration")
	case !q.tok.has(scope):
		q.fail(http.StatusNotFound, "Not Found")
	default:
		q.scopes()
		return true
	}
	return false
}

func (t *token) has(scope string) bool {
	return slices.Contains(strings.Split(t.scopes, ", "), scope)
}

func bodies(keys []*key, body func(*key) map[string]any) []map[string]any {
	list := []map[string]any{}
	for _, k := range keys {
		list = append(list, body(k))
	}
	return list
}

func (f *Fake) keyBody(k *key) map[string]any {
	body := map[string]any{"id": k.id, "key": k.line, "title": fmt.Sprintf("agent %d", k.id), "created_at": "2024-01-02T03:04:05Z"}
	if k.kind == signingKey {
		return body
	}
	body["url"], body["verified"], body["read_only"], body["last_used"] = f.api()+"/user/keys/"+strconv.Itoa(k.id), true, false, nil
	if k.kind == deployKey {
		body["url"], body["added_by"] = f.api()+"/repos/"+k.owner+"/keys/"+strconv.Itoa(k.id), person
	}
	return body
}

func (k *key) String() string {
	return fmt.Sprintf("%d %s of %s %s\n", k.id, k.kind, k.owner, lifeText(k.life))
}
