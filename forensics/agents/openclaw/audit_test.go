package openclaw

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The logs in testdata were written by a JavaScript program that writes as the agent does: its
// numbers, its escapes, its order of keys.
func auditLog(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func checkAudit(t testing.TB, log []byte) Audit {
	t.Helper()
	a, err := CheckAudit(bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuditLogsAreIntact(t *testing.T) {
	for name, want := range map[string]Audit{
		"audit-events.jsonl": {Form: AuditEvents, Verdict: AuditIntact, Entries: 4},
		"audit-chain.ndjson": {Form: AuditTools, Verdict: AuditIntact, Entries: 5},
	} {
		a := checkAudit(t, auditLog(t, name))
		if a.Form != want.Form || a.Verdict != want.Verdict || a.Entries != want.Entries || a.Torn || len(a.Last) != 64 {
			t.Errorf("%s: %+v", name, a)
		}
		torn := checkAudit(t, append(auditLog(t, name), `{"seq":`...))
		if torn.Verdict != AuditIntact || !torn.Torn || torn.Entries != want.Entries {
			t.Errorf("%s, torn: %+v", name, torn)
		}
	}
}

func TestWhatBreaksAnAuditLog(t *testing.T) {
	for _, name := range []string{"audit-events.jsonl", "audit-chain.ndjson"} {
		lines := bytes.SplitAfter(auditLog(t, name), []byte("\n"))
		lines = lines[:len(lines)-1]
		join := func(n ...int) []byte {
			var b []byte
			for _, i := range n {
				b = append(b, lines[i]...)
			}
			return b
		}
		for what, test := range map[string]struct {
			log []byte
			at  int
		}{
			"removed":       {join(0, 2, 3), 2},
			"removed first": {join(1, 2, 3), 1},
			"swapped":       {join(0, 2, 1, 3), 2},
			"twice":         {join(0, 1, 1, 2), 3},
			"a blank line":  {append(join(0, 1), "\n"...), 3},
			"no JSON":       {append(join(0), "hello\n"...), 2},
			"an array":      {append(join(0), "[]\n"...), 2},
			"no end":        {append(join(0, 1), bytes.Repeat([]byte("x"), 2*maxAuditLine)...), 3},
		} {
			if a := checkAudit(t, test.log); a.Verdict != AuditBroken || a.At != test.at || a.Entries != test.at-1 || a.Why == "" {
				t.Errorf("%s, %s: %+v", name, what, a)
			}
		}
		// That the end was cut does not show, and nothing claims that it would.
		if a := checkAudit(t, join(0, 1)); a.Verdict != AuditIntact || a.Entries != 2 {
			t.Errorf("%s, cut: %+v", name, a)
		}
	}
}

// Every byte of what a hash covers counts.
func TestAnyByteOfAnAuditLog(t *testing.T) {
	log := auditLog(t, "audit-events.jsonl")
	for i := range log {
		if log[i] == '\n' || bytes.Contains(log[max(0, i-25):min(len(log), i+25)], []byte("not covered")) {
			continue // the field "extra" is none that the agent hashes
		}
		b := bytes.Clone(log)
		b[i] ^= 0x01
		if a := checkAudit(t, b); a.Verdict == AuditIntact {
			t.Fatalf("byte %d, %q to %q: %+v", i, log[max(0, i-10):i+1], b[i], a)
		}
	}
}

func TestConfigAudit(t *testing.T) {
	write := func(path, from, to, result string) string {
		return fmt.Sprintf(`{"ts":"t","source":"config-io","event":"config.write","configPath":%q,"previousHash":%s,"nextHash":%s,"result":%q}`+"\n", path, from, to, result)
	}
	observe := func(path, hash string) string {
		return fmt.Sprintf(`{"ts":"t","source":"config-io","event":"config.observe","configPath":%q,"hash":%q,"suspicious":["x"]}`+"\n", path, hash)
	}
	log := write("a", "null", `"1"`, "rename") + write("a", `"1"`, `"2"`, "rename") + write("b", `"7"`, `"8"`, "rename") +
		write("a", `"2"`, "null", "failed") + write("a", `"2"`, `"3"`, "rename")
	if a := checkAudit(t, []byte(log)); a.Form != AuditConfig || a.Verdict != AuditNotChained || len(a.Gaps) != 0 || a.Entries != 5 {
		t.Errorf("%+v", a)
	}
	log += observe("a", "3") + write("a", `"9"`, `"10"`, "rename") + observe("a", "11") + "no JSON\n" + write("a", `"11"`, `"12"`, "rename")
	a := checkAudit(t, []byte(log))
	if len(a.Gaps) != 2 || a.Gaps[0] != (Gap{7, "a", "3", "9"}) || a.Gaps[1] != (Gap{8, "a", "10", "11"}) || a.Verdict != AuditNotChained {
		t.Errorf("%+v", a)
	}
	var many strings.Builder
	for i := range 3000 {
		many.WriteString(write(fmt.Sprint(i%1500), fmt.Sprintf(`"%d"`, i), `"x"`, "rename"))
	}
	if a := checkAudit(t, []byte(many.String())); len(a.Gaps) != maxGaps || a.More != maxAuditPaths-maxGaps {
		t.Errorf("%d gaps and %d more", len(a.Gaps), a.More)
	}
}

func TestWhatIsNoAuditLog(t *testing.T) {
	for _, log := range []string{"", "\n", "hello\n", "{}\n", "[1]\n", `{"level":"info"}` + "\n", "{", strings.Repeat("[", 100_000) + "\n", strings.Repeat("x", 2*maxAuditLine)} {
		if a := checkAudit(t, []byte(log)); a.Form != AuditPlain || a.Verdict != AuditNotChained || a.Last != "" {
			t.Errorf("%.20q: %+v", log, a)
		}
	}
	if _, err := CheckAudit(iotest.ErrReader(os.ErrClosed)); err == nil {
		t.Error("an error of reading was lost")
	}
	for path, want := range map[string]bool{
		"data/home/ada/.openclaw/security/audit.jsonl": true, "logs/config-audit.jsonl": true, "x/logs/audit-chain.ndjson": true,
		"audit.jsonl": false, "insecurity/audit.jsonl": false, "logs/config-audit.jsonl.bak": false,
	} {
		if IsAuditLog(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

func FuzzCheckAudit(f *testing.F) {
	f.Add(auditLog(f, "audit-events.jsonl"))
	f.Add(auditLog(f, "audit-chain.ndjson"))
	f.Add([]byte(`{"event":"config.write","configPath":"a","previousHash":"1","nextHash":"2"}` + "\n"))
	f.Add([]byte(`{"seq":1,"prevHash":"GENESIS","hash":"","event":{"meta":{"1":2,"a":{},"a":3}}}` + "\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		began := time.Now()
		a, err := CheckAudit(bytes.NewReader(log))
		lines := bytes.Count(log, []byte("\n"))
		if err != nil || a.Entries > lines || a.At > lines+1 || len(a.Gaps) > maxGaps || (a.Verdict == AuditBroken) != (a.At > 0) {
			t.Fatalf("%+v, %v", a, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Fatalf("%d bytes took %s", len(log), took)
		}
	})
}
