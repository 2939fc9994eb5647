package github

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"clawback/revoke/credential"
)

// FuzzNamed: whatever a host puts in the place of a key and of what names it, an address stays in the
// folder that it is for, and nothing panics.
func FuzzNamed(f *testing.F) {
	f.Add("", "7001", "", "mona/payments", "mona")
	f.Add("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "1", "SHA256:x", "a/..", "..")
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n", "9000", "", "a/b", "")
	plain := regexp.MustCompile(`\A[0-9A-Za-z._/-]+\z`)
	f.Fuzz(func(t *testing.T, file, id, print, repo, user string) {
		for _, kind := range []string{kindDeployKey, kindSSHKey, kindSigningKey} {
			w, err := wantedOf(credential.Credential{
				Provider: name, Kind: kind, Secret: credential.Value(file),
				Ref: map[string]string{"id": id, "public_key": print, "repository": repo, "user": user},
			})
			if err != nil {
				continue
			}
			if w.id <= 0 && w.fingerprint == "" {
				t.Errorf("%s is named by nothing", kind)
			}
			for _, list := range append(w.public, w.own) {
				if !plain.MatchString(list) || path.Clean(list) != list || strings.Count(list, "/") > 3 {
					t.Errorf("%s would be looked for at %q", kind, list)
				}
			}
		}
		_, _ = parseApp(id, file)
	})
}
