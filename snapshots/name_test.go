package snapshots

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"path"
	"reflect"
	"strings"
	"testing"
)

// original undoes storedName, where the name was not shortened.
func original(stored string) (string, bool) {
	if strings.Contains(stored, "==") {
		return "", false
	}
	parts := strings.Split(stored, "/")
	for i, part := range parts {
		if part == "=" {
			parts[i] = ""
			continue
		}
		var out []byte
		for j := 0; j < len(part); j++ {
			if part[j] != '=' {
				out = append(out, part[j])
				continue
			}
			b, err := hex.DecodeString(part[j+1 : j+3])
			if err != nil {
				return "", false
			}
			out = append(out, b...)
			j += 2
		}
		parts[i] = string(out)
	}
	return strings.Join(parts, "/"), true
}

func TestStoredName(t *testing.T) {
	for name, want := range map[string]string{
		"home/ada/.openclaw/openclaw.json": "home/ada/.openclaw/openclaw.json",
		"a b":                              "a=20b",
		"a%0Ab":                            "a=250Ab",
		"a\nb\\c\r":                        "a=0Ab=5Cc=0D",
		"../x":                             "=2E=2E/x",
		"./x":                              "=2E/x",
		"/etc/passwd":                      "=/etc/passwd",
		"":                                 "=",
		"=":                                "=3D",
		"\xffé":                            "=FF=C3=A9",
		"C:*?\"<>|":                        "C=3A=2A=3F=22=3C=3E=7C",
	} {
		if got := storedName(name); got != want {
			t.Errorf("%q is stored as %q, want %q", name, got, want)
		}
	}
}

func TestManifestIsStrict(t *testing.T) {
	digest := digestOf("x")
	for _, text := range []string{
		strings.ToUpper(digest) + "  data/a\n", digest + " *data/a\n", digest + " data/a\n", digest + "  data/a", digest + "  data/a\r\n", digest + "  /data/a\n",
		digest + "  data/../a\n", digest + "  data//a\n", digest + "  data/%0A\n", "\\" + digest + "  data/a\n", digest[1:] + "  data/a\n", "\n", digest + "  \n",
		strings.Repeat("x", 1<<20), manifestLine(digest, "data/a") + manifestLine(digest, "data/a"),
	} {
		faults := 0
		parseManifest(strings.NewReader(text), func(string) { faults++ })
		if faults == 0 {
			t.Errorf("%.100q is taken for a manifest", text)
		}
	}
	if m := parseManifest(strings.NewReader(manifestLine(digest, "data/a")), func(fault string) { t.Error(fault) }); m["data/a"] != digest {
		t.Errorf("%v", m)
	}
}

func FuzzStoredName(f *testing.F) {
	for _, name := range hostileNames() {
		f.Add(name, "a")
	}
	f.Add("../../etc/passwd", "/etc/passwd")
	f.Add("a//b", "a/./b")
	f.Add(strings.Repeat("x/", 600), strings.Repeat("x/", 601))
	f.Fuzz(func(t *testing.T, one, two string) {
		n := newNames()
		places := []string{}
		for _, name := range []string{one, two, one} {
			s := storedName(name)
			if !validStored(s) || path.Clean(s) != s || path.IsAbs(s) || len(s) > maxStored {
				t.Fatalf("%q is stored as %q", name, s)
			}
			for part := range strings.SplitSeq(s, "/") {
				if len(part) > 255-8 || part == ".." {
					t.Fatalf("%q is stored as %q", name, s)
				}
			}
			if back, ok := original(s); ok && back != name {
				t.Fatalf("%q is stored as %q, which means %q", name, s, back)
			}
			place := n.place(name)
			if !validStored(place) {
				t.Fatalf("%q is placed at %q", name, place)
			}
			for _, other := range places {
				if strings.EqualFold(place, other) || strings.HasPrefix(fold(place)+"/", fold(other)+"/") || strings.HasPrefix(fold(other)+"/", fold(place)+"/") {
					t.Fatalf("%q and %q cannot both be in the bag", place, other)
				}
			}
			places = append(places, place)
		}
		if one != two && storedName(one) == storedName(two) {
			t.Fatalf("%q and %q are both stored as %q", one, two, storedName(one))
		}
	})
}

func FuzzManifest(f *testing.F) {
	line := manifestLine(digestOf("x"), "data/a")
	for _, seed := range []string{line, line + line, line + manifestLine(digestOf("y"), "data/b"), line[:70], "\n", strings.ToUpper(line), "\\" + line, strings.Repeat("x", 10000)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		faults := 0
		m := parseManifest(bytes.NewReader(data), func(string) { faults++ })
		size := 0
		for name, digest := range m {
			if !validStored(name) || !isDigest(digest) {
				t.Fatalf("took %q %q", digest, name)
			}
			size += len(manifestLine(digest, name))
		}
		if faults == 0 && size != len(data) {
			t.Fatalf("%d bytes of %d mean something, and no fault", size, len(data))
		}
	})
}

func FuzzIndex(f *testing.F) {
	e, err := json.Marshal(Entry{Stored: "a", Bytes: 1, SHA256: digestOf("x"), File: File{Path: "\xff", Verdict: Stable}})
	must(f, err)
	f.Add(append(e, '\n'))
	f.Add([]byte(`{"stored":"../a"}` + "\n"))
	f.Add([]byte("{}\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for e, err := range parseIndex(bytes.NewReader(data)) {
			if err != nil {
				return
			}
			if e.Stored != "" && !validStored(e.Stored) {
				t.Fatalf("took %q", e.Stored)
			}
		}
	})
}

func FuzzFileJSON(f *testing.F) {
	f.Add("home/x", "\xff\xfe")
	f.Add("\xed\xa0\x80", "")
	f.Fuzz(func(t *testing.T, path, target string) {
		in := File{Path: path, Target: target, Source: "log", Size: 3, Verdict: Listed}
		text, err := json.Marshal(in)
		must(t, err)
		var out File
		must(t, json.Unmarshal(text, &out))
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("%+v became %+v through %s", in, out, text)
		}
	})
}
