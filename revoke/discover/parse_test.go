package discover

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func renderSettings(all []setting) (out []string) {
	for _, s := range all {
		line := fmt.Sprintf("%d %s=%s", s.line, s.name, s.value)
		if s.section != "" {
			line = "[" + s.section + "] " + line
		}
		if s.comment {
			line = "#" + line
		}
		out = append(out, line)
	}
	return out
}

func TestParseDotenv(t *testing.T) {
	in := "\ufeffA=1\r\n" + // 1
		"export B = two words # c\n" +
		"C='it # is'  # c\n" +
		"D=\"a\\nb\\\"c\"\n" +
		"E=\"line\n" + // 5
		"two\"\n" +
		"F: colon\n" +
		"  # G=old\n" +
		"#just words\n" +
		"H=\n" + // 10
		"I=a=b#c\n" +
		"J=`tick`\n" +
		"no assignment\n" +
		"K=\"open\n" +
		"L=last"
	want := []string{"1 A=1", "2 B=two words", "3 C=it # is", "4 D=a\nb\"c", "5 E=line\ntwo", "7 F=colon", "#8 G=old", "10 H=", "11 I=a=b#c", "12 J=tick", "14 K=open", "15 L=last"}
	if got := renderSettings(parseDotenv(in)); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestParseINI(t *testing.T) {
	in := "top = 1\n[default] # c\nAws_Access_Key_Id=x\n; old = y\n\n[profile two ]\r\nb = c # d\r\ns3 =\n  e = f\nnothing\n[open\ng=h"
	want := []string{"1 top=1", "[default] 3 aws_access_key_id=x", "#[default] 4 old=y", "[two] 7 b=c", "[two] 8 s3=", "[two] 9 e=f", "[open] 12 g=h"}
	if got := renderSettings(parseINI(in)); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestParseUnit(t *testing.T) {
	in := "[Service]\nEnvironment=A=1 \"B=two words\" 'C=3' D=x%%y E=a\\ b\n Environment=\nEnvironment=F=\"g\nEnvironmentFile=-/etc/x\nEnvironmentFile=%h/y\nExecStart=/bin/x G=1\n" +
		"Environment = H=1 \\\n# between\n  'I=2' \\\n  J=3\nExecStart=/bin/y \\\n K=4\nEnvironmentFile = -/etc/z\nEnvironment=\"L=%q\" \\\nEnvironment=M=5"
	all, files := parseUnit(in)
	want := []string{"2 A=1", "2 B=two words", "2 C=3", "2 D=x%y", "2 E=a b", "4 F=g", "8 H=1", "10 I=2", "11 J=3", "15 L=%q", "16 M=5"}
	if got := renderSettings(all); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !slices.Equal(files, []string{"/etc/x", "%h/y", "/etc/z"}) {
		t.Errorf("files %q", files)
	}
}

func TestReadYAMLFaults(t *testing.T) {
	for _, in := range []string{"", "a", "- a", "a: {b: c}", "github.com:\n  oauth_token: [x]\n", "a: &x\n  oauth_token: t\nb: *x\n", "1: 2"} {
		leaves, err := readYAML([]byte(in))
		if err != nil || len(leaves) > 2 {
			t.Errorf("%q: %v, %v", in, leaves, err)
		}
	}
	value := secret()
	for _, in := range []string{"a: [" + value, "a: \"" + value, "\t" + value, "a: *" + value, "a: !!int " + value + "\n  b: c", "{" + value} {
		if _, err := readYAML([]byte(in)); err == nil || strings.Contains(err.Error(), value[:8]) {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzParseDotenv(f *testing.F) {
	f.Add("A=1\nexport B=\"x\ny\"\n#C=d\n")
	f.Add("A='\\\n")
	f.Fuzz(func(t *testing.T, data string) {
		last := 0
		for _, s := range parseDotenv(data) {
			if s.name == "" || s.line <= last || s.line > strings.Count(data, "\n")+1 || len(s.value) > len(data) {
				t.Fatalf("impossible: %+v", s)
			}
			last = s.line
		}
		// Whatever stands before it, an assignment on a line of its own is read.
		if !strings.ContainsAny(data, "\"'`") {
			all := parseDotenv(data + "\nLAST_ONE=value")
			if n := len(all); n == 0 || all[n-1].name != "LAST_ONE" || all[n-1].value != "value" {
				t.Fatalf("the last assignment is lost behind %q", data)
			}
		}
	})
}

func FuzzParseINI(f *testing.F) {
	f.Add("[a]\nb = c\n# d = e\n")
	f.Fuzz(func(t *testing.T, data string) {
		for _, s := range parseINI(data) {
			if s.line < 1 || s.line > strings.Count(data, "\n")+1 || len(s.value)+len(s.section) > len(data) {
				t.Fatalf("impossible: %+v", s)
			}
		}
		all := parseINI(data + "\n[last]\none=value")
		if n := len(all); n == 0 || all[n-1].section != "last" || all[n-1].name != "one" || all[n-1].value != "value" {
			t.Fatalf("the last section is lost behind %q", data)
		}
	})
}

func FuzzParseUnit(f *testing.F) {
	f.Add("[Service]\nEnvironment=\"A=b c\" D=e\\\nEnvironmentFile=-/x")
	f.Fuzz(func(t *testing.T, data string) {
		all, _ := parseUnit(data + "\nEnvironment=LAST=value")
		if n := len(all); n == 0 || all[n-1].name != "LAST" || all[n-1].value != "value" {
			t.Fatalf("the last assignment is lost behind %q", data)
		}
	})
}

func FuzzReadYAML(f *testing.F) {
	f.Add([]byte("github.com:\n  users:\n    a:\n      oauth_token: t\n  user: a\n"))
	f.Add([]byte("a: &a [*a]"))
	fault := regexp.MustCompile(`\A(line [0-9]+: )?not valid YAML\z`)
	f.Fuzz(func(t *testing.T, data []byte) {
		leaves, err := readYAML(data)
		if err != nil && !fault.MatchString(err.Error()) {
			t.Fatalf("error %v", err)
		}
		for _, l := range leaves {
			if l.line < 1 || len(l.path) < 1 || len(l.text) > len(data)*3 {
				t.Fatalf("impossible: line %d, path %v", l.line, l.path)
			}
		}
	})
}

// FuzzConfig searches a configuration of any content: it ends, and what it finds has a place.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{hooks:{token:"${A}"},gateway:{auth:{token:{source:"file",provider:"x",id:"/a"}}},secrets:{providers:{x:{source:"file",path:"openclaw.json"}}}}`))
	f.Add([]byte(`{"$include":["openclaw.json",".env"],env:{A:"$A"},channels:{telegram:{accounts:{a:{tokenFile:"."}}}}}`))
	f.Add([]byte(`{mcp:{servers:{s:{env:{AWS_ACCESS_KEY_ID:"AKIAABCDEFGHIJKLMNOP",AWS_SECRET_ACCESS_KEY:"s3cr3t"},url:"http://[::1"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := tree(t, map[string]string{state + "openclaw.json": string(data)})
		must(t, os.WriteFile(filepath.Join(dir, state, ".env"), data, 0o600))
		found, summary := search(t, dir, places)
		for _, f := range found {
			if f.Provider == "" || f.Kind == "" || f.Source.Path == "" || f.Source.Line < 1 || f.Secret.Empty() == (f.Unresolved == "") {
				t.Fatalf("find without a place or a secret: %+v", f)
			}
		}
		if summary.Found != len(found) || summary.Files == 0 {
			t.Fatalf("summary %+v", summary)
		}
	})
}
