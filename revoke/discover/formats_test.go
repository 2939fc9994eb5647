package discover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func renderLeaves(all []leaf) (out []string) {
	for _, l := range all {
		out = append(out, fmt.Sprintf("%d %s=%s", l.line, locator(l.path), l.text))
	}
	return out
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name string
		read format
		in   string
		want []string
	}{
		{"netrc", readNetrc, "machine a login b password c\n# machine x password y\nmachine d\n  login e\n\tpassword \"f\"\nmacdef init\nmachine no password no\n\ndefault login g password h\nmachine", []string{
			"1 a.login=b", "1 a.password=c", "4 d.login=e", "5 d.password=f", "9 default.login=g", "9 default.password=h"}},
		{"pgpass", readPgpass, "# c\nh:1:d:u:p:q\\:r\\\\s\n*:*:*:*\nh\\:x:1:d:u:p", []string{
			`2 h:1:d:u.user=u`, `2 h:1:d:u.password=p:q:r\s`, `4 h:x:1:d:u.user=u`, `4 h:x:1:d:u.password=p`}},
		{"git", readGitCredentials, "https://a:b%40c@github.com\nhttps://github.com\nhttp://[\nhttps://only@x\n", []string{
			`1 ["github.com"].login=a`, `1 ["github.com"].password=b@c`, `1 ["github.com"].url=https://github.com`}},
		{"npm", readNpmrc, "registry=https://x\n//r.example/:_authToken=\"a\"\n; //r/:_authToken=no\n_auth=b", []string{
			"1 default.registry=https://x", `2 ["r.example"]._authtoken=a`, "4 default._auth=b"}},
		{"toml", readTOML, "a = 1\n[mcp_servers.x.env]\nK = \"v\" # c\n# L = 2\n[mcp_servers.y]\nenv = { \"A\" = \"b\", C = 'd' }\n[[open", []string{
			"1 a=1", "3 mcp_servers.x.env.K=v", "6 mcp_servers.y.env.A=b", "6 mcp_servers.y.env.C=d"}},
		{"compose", readCompose, "services:\n  a:\n    environment:\n      - K=v=w\n      - PASSED\n  b:\n    environment: {L: x, N: }\n", []string{
			"4 services.a.environment.K=v=w", "5 services.a.environment[1]=PASSED", "7 services.b.environment.L=x"}},
		{"yaml", readYAML, "a: &x [1, {b: c}]\nd: *x\n---\ne: f\n", []string{"1 a[0]=1", "1 a[1].b=c"}},
		{"ini", readINI, "[s]\nName = v\n# k = v\n", []string{"2 s.name=v"}},
		{"line", readLine, "  t\n", []string{"1 =t"}},
	} {
		leaves, err := c.read([]byte(c.in))
		if got := renderLeaves(leaves); !slices.Equal(got, c.want) || err != nil {
			t.Errorf("%s: %v\ngot  %q\nwant %q", c.name, err, got, c.want)
		}
	}
}

// Every format is of a file of the table, and no file has two.
func TestFormatsAreUsed(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range formats {
		if seen[f.file] || !slices.ContainsFunc(places, func(p place) bool { return p.file == f.file }) {
			t.Errorf("the format of %s is listed twice or for nothing", f.file)
		}
		seen[f.file] = true
	}
}

// fuzzFormat: whatever a file holds, it is read to its end, its leaves lie in it, and errors quote
// nothing of it.
func fuzzFormat(f *testing.F, read format, seeds ...string) {
	for _, s := range append(seeds, "", "\x00", "\ufeff", strings.Repeat("[", 300), "a=\"\nb", ":::::", "\\") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		leaves, err := read(data)
		if err != nil && len(data) > 8 && strings.Contains(err.Error(), string(data)) {
			t.Fatal("the error quotes the file")
		}
		for _, l := range leaves {
			if l.line < 1 || l.line > strings.Count(string(data), "\n")+2 || len(l.path) == 0 || len(l.path) > maxSteps*3 || len(l.text) > 4*len(data)+8 {
				t.Fatalf("impossible: line %d, %d steps, %d bytes", l.line, len(l.path), len(l.text))
			}
			_ = locator(l.path)
		}
	})
}

func FuzzReadNetrc(f *testing.F) {
	fuzzFormat(f, readNetrc, "machine a login b password c\nmacdef x\ny\n\ndefault password d")
}
func FuzzReadPgpass(f *testing.F) { fuzzFormat(f, readPgpass, "h:1:d:u:p\\:q") }
func FuzzReadNpmrc(f *testing.F)  { fuzzFormat(f, readNpmrc, "//r/:_authToken=a") }
func FuzzReadTOML(f *testing.F)   { fuzzFormat(f, readTOML, "[a.\"b\"]\nc = { d = \"e\" }") }
func FuzzReadCompose(f *testing.F) {
	fuzzFormat(f, readCompose, "services: {a: {environment: [K=v], env_file: [x]}}")
}
func FuzzReadGitCredentials(f *testing.F) { fuzzFormat(f, readGitCredentials, "https://a:b@c") }

// FuzzPrivateKey: the outside of a key is read without its inside, and never beyond its end.
func FuzzPrivateKey(f *testing.F) {
	f.Add([]byte(opensshKey(f, "aes256-ctr", []byte("blob"))))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k := readPrivateKey(data); len(k.public) > len(data) {
			t.Fatal("more than there is")
		}
		_, _, _ = publicKey(string(data))
		_, _, _ = login(string(data))
		_, _ = jwtClaims("eyJ" + string(data))
		_ = awsAccount(string(data))
		_ = moment(string(data))
	})
}
