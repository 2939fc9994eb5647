package main

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/snapshots"
)

// chainOf is an audit log of n entries.
func chainOf(n int) string {
	prev, log := strings.Repeat("0", 64), ""
	for i := range n {
		line := fmt.Sprintf(`{"entryId":"%d","prevLogHash":%q}`, i, prev)
		prev, log = fmt.Sprintf("%x", sha256.Sum256([]byte(line))), log+line+"\n"
	}
	return log
}

func TestAgentLogsOfABag(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bag")
	bag, err := snapshots.NewBag(dir, snapshots.Info{Source: "web-1", Incident: "INC-1", Tool: "test", Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"home/ada/.openclaw/logs/audit-chain.ndjson": strings.Replace(chainOf(5), `"entryId":"1"`, `"entryId":"\u001b"`, 1),
		"home/ada/.openclaw/logs/other.jsonl":        chainOf(2),
	} {
		f := snapshots.File{Path: name, Source: "log", Mode: 0o100600, Size: int64(len(text))}
		w, err := bag.Begin(f)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err == nil {
			err = bag.End(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := bag.Seal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := evidenceCheck{}.check(sealed.Path, incident.Sealed{})
	if err != nil || len(got) != 3 || !strings.Contains(got[2], "home/ada/.openclaw/logs/audit-chain.ndjson: BROKEN at line 3") {
		t.Errorf("%q %v", got, err)
	}
}

func TestDescribeAgentLog(t *testing.T) {
	for want, log := range map[string]string{
		"intact, 5 entries":                        chainOf(5),
		"BROKEN at line 3":                         strings.Replace(chainOf(5), `"entryId":"1"`, `"entryId":"7"`, 1),
		"not chained: a change to one":             `{"msg":"x"}` + "\n",
		"last line is not whole":                   chainOf(2) + "{",
		"line 2: /c was changed by something else": `{"event":"config.write","configPath":"/c","previousHash":null,"nextHash":"aa"}` + "\n" + `{"event":"config.write","configPath":"/c","previousHash":"bb","nextHash":"cc"}` + "\n",
	} {
		a, err := openclaw.CheckAudit(strings.NewReader(log))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(describeAgentLog("home/ada/.openclaw/security/audit.jsonl", a), "\n"); !strings.Contains(got, want) {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}
