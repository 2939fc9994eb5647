package signers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := Generate("test")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func wire(key ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestAllow(t *testing.T) {
	key, other := newKey(t), newKey(t)
	k, o := wire(key), wire(other)
	for name, test := range map[string]struct {
		list string
		as   string
		ok   bool
	}{
		"named":                         {"alice " + k, "alice", true},
		"with a comment":                {"alice " + k + " her laptop", "alice", true},
		"tabs and comments":             {"# people\n\n \t# more\nalice\t" + k + "\r\n", "alice", true},
		"another key":                   {"alice " + o, "alice", false},
		"another name":                  {"bob " + k, "alice", false},
		"one of several":                {"bob,alice " + k, "alice", true},
		"case matters":                  {"Alice " + k, "alice", false},
		"pattern":                       {"*@example.com " + k, "alice@example.com", true},
		"pattern of one character":      {"al?ce " + k, "alice", true},
		"pattern of no character":       {"al?ice " + k, "alice", false},
		"negated":                       {"*,!alice " + k, "alice", false},
		"negated, another":              {"*,!alice " + k, "bob", true},
		"negated first":                 {"!alice,* " + k, "alice", false},
		"only negated":                  {"!bob " + k, "alice", false},
		"quoted principals":             {`"bob,alice" ` + k, "alice", true},
		"second line":                   {"alice " + o + "\nalice " + k, "alice", true},
		"namespace":                     {`alice namespaces="clawback-approval@v1" ` + k, "alice", true},
		"namespace, of several":         {`alice namespaces="git,clawback-*" ` + k, "alice", true},
		"another namespace":             {`alice namespaces="git" ` + k, "alice", false},
		"namespace negated":             {`alice namespaces="*,!clawback-approval@v1" ` + k, "alice", false},
		"capital option":                {`alice NAMESPACES="git" ` + k, "alice", false},
		"valid":                         {`alice valid-after="20260101Z",valid-before="20270101Z" ` + k, "alice", true},
		"not yet":                       {`alice valid-after="20261124Z" ` + k, "alice", false},
		"no longer":                     {`alice valid-before="202611231159Z" ` + k, "alice", false},
		"to the second":                 {`alice valid-before="20261123120000Z" ` + k, "alice", true},
		"restricted there, free here":   {`alice namespaces="git" ` + k + "\nalice " + k, "alice", true},
		"valid in another line":         {`alice valid-before="20200101Z" ` + k + "\nal* " + k, "alice", true},
		"a pattern is no name":          {"* " + k, "al*", false},
		"a list is no name":             {"* " + k, "alice,bob", false},
		"no name":                       {"* " + k, "", false},
		"a name with a terminal escape": {"* " + k, "alice\x1b[2J", false},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := Parse("list", []byte(test.list))
			if err != nil {
				t.Fatal(err)
			}
			if err := list.Allow(test.as, key.PublicKey(), Approvals, noon); (err == nil) != test.ok {
				t.Errorf("%v", err)
			}
		})
	}
	if (Signers{}).Allow("alice", key.PublicKey(), Approvals, noon) == nil {
		t.Error("nobody in the list, and somebody is allowed")
	}
}

// What could restrict a key is never passed over.
func TestParseRefuses(t *testing.T) {
	k := wire(newKey(t))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ssh.NewSignerFromKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"alice cert-authority " + k:                                   "cert-authority is not supported",
		`alice cert-authority,namespaces="git" ` + k:                  "cert-authority is not supported",
		"alice no-touch-required " + k:                                "not supported",
		`alice namespaces=git ` + k:                                   "options are written",
		`alice namespaces="" ` + k:                                    "names none",
		`alice namespaces ` + k:                                       "names none",
		`alice namespaces="git",namespaces="file" ` + k:               "stands twice",
		`alice namespaces="git",NAMESPACES="file" ` + k:               "stands twice",
		`alice namespaces="git", ` + k:                                "options are written",
		`alice ,namespaces="git" ` + k:                                "options are written",
		`alice namespaces="git"valid-after="20260101" ` + k:           "options are written",
		`alice namespaces="git ` + k:                                  "not closed",
		`alice namespaces="gi\"t" ` + k:                               "not one text",
		`alice valid-after="20261301Z" ` + k:                          "no time",
		`alice valid-after="2026" ` + k:                               "no time",
		`alice valid-before="forever" ` + k:                           "no time",
		`alice valid-after="20270101Z",valid-before="20260101Z" ` + k: "valid at no time",
		`"alice ` + k:                           "quotes of the principals",
		`"alice"` + k:                           "quotes of the principals",
		`"" ` + k:                               "no list of principals",
		`ali"ce ` + k:                           "no list of principals",
		"alice":                                 "no key",
		k:                                       "", // its type would be the principal
		"alice ssh-ed25519":                     "not one of type",
		"alice ssh-ed25519 !!!":                 "not in base64",
		"alice ssh-rsa " + strings.Fields(k)[1]: "not one of type",
		"alice ssh-dss AAAA":                    "not supported",
		"alice ssh-ed25519-cert-v01@openssh.com AAAA": "not supported",
		"alice " + wire(small):                        "too weak",
		"ali\x00ce " + k:                              "no text",
		"ali\xffce " + k:                              "no text",
		"alice " + k + strings.Repeat("x", maxLine):   "more than",
	} {
		list, err := Parse("people", []byte("# people\n"+text+"\n"))
		var at *Error
		if err == nil || !errors.As(err, &at) || at.Line != 2 || at.File != "people" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
		if len(list.lines) > 0 {
			t.Errorf("%.60q: what is wrong gives a list", text)
		}
	}
	if _, err := Parse("l", bytes.Repeat([]byte("x\n"), 3*maxErrors)); strings.Count(err.Error(), "\n") != maxErrors-1 {
		t.Error("the errors are not bounded")
	}
	if _, err := Parse("l", bytes.Repeat([]byte("#\n"), maxLines)); err == nil {
		t.Error("the lines are not bounded")
	}
}

func TestNamesAndKeys(t *testing.T) {
	key, other := newKey(t), newKey(t)
	list, err := Parse("l", []byte("alice,al* "+wire(key)+"\nbob "+wire(key)+"\n*,!alice "+wire(other)+"\nalice namespaces=\"git\" "+wire(other)))
	if err != nil {
		t.Fatal(err)
	}
	if got := list.Names(key.PublicKey()); !slices.Equal(got, []string{"alice", "bob"}) {
		t.Error(got)
	}
	if got := list.Names(nil); !slices.Equal(got, []string{"alice", "bob"}) {
		t.Error(got)
	}
	if got := list.Keys("alice"); len(got) != 2 { // whatever else restricts them: nobody approves their own request
		t.Error(got)
	}
	if got := list.Keys("carol"); !slices.Equal(got, []string{ssh.FingerprintSHA256(other.PublicKey())}) {
		t.Error(got)
	}
}

func TestMatchTakesBoundedTime(t *testing.T) {
	if match(strings.Repeat("a", MaxName), strings.Repeat("a*", 8000)+"b") {
		t.Error("it matched")
	}
}

// keysOfAllTypes are keys as people have them.
func keysOfAllTypes(t *testing.T) map[string]ssh.Signer {
	all := map[string]ssh.Signer{"ed25519": newKey(t)}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]any{"ecdsa": e, "rsa": r} {
		if all[name], err = ssh.NewSignerFromKey(k); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestSignatures(t *testing.T) {
	message := []byte("approve this")
	for name, key := range keysOfAllTypes(t) {
		sig, err := Sign(key, Approvals, message)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := Verify(message, sig, Approvals)
		if err != nil || !same(signer, key.PublicKey()) {
			t.Errorf("%s: %v", name, err)
		}
		for what, f := range map[string]func() error{
			"another message":   func() error { _, err := Verify([]byte("approve that"), sig, Approvals); return err },
			"another namespace": func() error { _, err := Verify(message, sig, Notes); return err },
			"nothing":           func() error { _, err := Verify(message, "", Approvals); return err },
			"text before":       func() error { _, err := Verify(message, "x\n"+sig, Approvals); return err },
			"text after":        func() error { _, err := Verify(message, sig+"x", Approvals); return err },
			"two signatures":    func() error { _, err := Verify(message, sig+sig, Approvals); return err },
			"cut":               func() error { _, err := Verify(message, sig[:len(sig)/2], Approvals); return err },
			"too long":          func() error { _, err := Verify(message, sig+strings.Repeat("\n", maxSignature), Approvals); return err },
		} {
			if f() == nil {
				t.Errorf("%s: %s is taken", name, what)
			}
		}
	}
}

// keygen runs ssh-keygen with input.
func keygen(t *testing.T, input []byte, args ...string) ([]byte, error) {
	t.Helper()
	c := exec.Command("ssh-keygen", args...)
	c.Stdin = bytes.NewReader(input)
	return c.CombinedOutput()
}

func needsKeygen(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("ssh-keygen (openssh-client) is not installed")
	}
}

// Our signatures are OpenSSH's, and OpenSSH's are ours; a list says the same to both.
func TestAsOpenSSH(t *testing.T) {
	needsKeygen(t)
	dir := t.TempDir()
	message := []byte(`{"v":1,"kind":"approval"}`)
	for _, typ := range []string{"ed25519", "ecdsa", "rsa"} {
		path := filepath.Join(dir, typ)
		if out, err := keygen(t, nil, "-q", "-t", typ, "-N", "", "-C", "", "-f", path); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		key, closer, err := Agent{}.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		_ = closer.Close()

		c := exec.Command("ssh-keygen", "-Y", "sign", "-q", "-f", path, "-n", Approvals)
		c.Stdin = bytes.NewReader(message)
		theirs, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Verify(message, string(theirs), Approvals); err != nil || !same(got, key.PublicKey()) {
			t.Errorf("%s: what ssh-keygen signed: %v", typ, err)
		}
		ours, err := Sign(key, Approvals, message)
		if err != nil {
			t.Fatal(err)
		}
		sig := filepath.Join(dir, typ+".sig")
		put(t, sig, ours)
		for list, as := range map[string]string{
			"alice %s": "alice", "bob %s": "alice", "*@example.com,!eve@* %s": "alice@example.com", "*,!alice %s": "alice", "!alice,* %s": "bob",
			`alice namespaces="clawback-*" %s`: "alice", `alice namespaces="git" %s`: "alice", `alice namespaces="*,!clawback-approval@v1" %s`: "alice",
			`alice valid-after="20200101Z",valid-before="20990101Z" %s`: "alice", `alice valid-before="20200101" %s`: "alice",
			`alice valid-after="20990101Z" %s`: "alice", "al?ce %s a comment": "alice", `"bob,alice" %s`: "alice", "alice\t%s": "alice",
			`alice Valid-After="209901010000Z" %s`: "alice", "# alice %s": "alice", "  alice   %s": "alice",
		} {
			list = fmt.Sprintf(list, wire(key)) + "\n"
			allowed := filepath.Join(dir, "allowed_signers")
			put(t, allowed, list)
			out, theirErr := keygen(t, message, "-Y", "verify", "-f", allowed, "-I", as, "-n", Approvals, "-s", sig)
			parsed, err := Parse(allowed, []byte(list))
			if err == nil {
				err = parsed.Allow(as, key.PublicKey(), Approvals, time.Now())
			}
			if (theirErr == nil) != (err == nil) {
				t.Errorf("%s: %.60q as %s: ssh-keygen says %v (%s), we say %v", typ, list, as, theirErr, bytes.TrimSpace(out), err)
			}
		}
	}
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	k := wire(newKey(f))
	for _, s := range []string{
		"", "# x", "alice " + k, `alice namespaces="a,b",valid-after="20260101Z" ` + k, `"a b",!c cert-authority ` + k, "alice ssh-rsa AAAA", "\"", "a \"",
		`a valid-before="20260101",x ` + k, "a b=\"\\\" " + k,
	} {
		f.Add([]byte(s), "alice")
	}
	f.Fuzz(func(t *testing.T, src []byte, as string) {
		list, err := Parse("f", src)
		if err != nil {
			if len(list.lines) > 0 {
				t.Error("an error comes with a list")
			}
			return
		}
		for _, l := range list.lines {
			if err := list.Allow(as, l.key, Approvals, noon); err == nil && (CheckName(as) != nil || list.Keys(as) == nil) {
				t.Errorf("%q is allowed, and is nobody", as)
			}
			list.Names(l.key)
		}
	})
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	sig, err := Sign(key, Notes, []byte("m"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("m"), sig)
	f.Add([]byte("m"), strings.Replace(sig, "A", "B", 1))
	f.Fuzz(func(t *testing.T, message []byte, armored string) {
		if got, err := Verify(message, armored, Notes); err == nil && same(got, key.PublicKey()) && string(message) != "m" {
			t.Errorf("%q was never signed", message)
		}
	})
}
