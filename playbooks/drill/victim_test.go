package drill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"clawback/playbooks/containment"
	"clawback/playbooks/host"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/snapshots"
)

// victim is another machine with an agent on it, kept in memory. What was done to it stays done.
type victim struct {
	held  []credential.Credential
	clock fake.Clock

	mu     sync.Mutex
	frozen bool
	killed bool
}

// victimFiles is the evidence on it, by part.
var victimFiles = map[string]map[string]string{
	"volatile": {"proc/7/cmdline": "openclaw\x00gateway", "proc/7/status": "Name: openclaw"},
	"files":    {"openclaw.json": "{}", "agents/main/sessions/1.jsonl": strings.Repeat("{\"role\":\"user\"}\n", 200), "openclaw.log": "started\n"},
}

func (v *victim) touched() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frozen || v.killed
}

func (v *victim) isDown() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.killed
}

// seenBy is the machine as one process reaches it: no more once that is dead.
func (v *victim) seenBy(dead <-chan struct{}) host.Host { return &link{v, dead} }

type link struct {
	*victim
	dead <-chan struct{}
}

var errLink = errors.New("the link is lost")

func (l *link) do(change func(v *victim)) error {
	if gone(l.dead) {
		return errLink
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.victim)
	return nil
}

func (*link) Name() string { return "root@web-1" }
func (*link) Remote() bool { return true }
func (*link) Describe(context.Context) (containment.Description, error) {
	return containment.Description{Hostname: "web-1"}, nil
}

func (l *link) Freeze(context.Context) (f containment.Frozen, err error) {
	return f, l.do(func(v *victim) {
		v.frozen = true
		if !v.killed {
			f.Processes = []containment.Process{{PID: 7, Name: "openclaw"}}
		}
	})
}

func (l *link) Thaw(context.Context) error { return l.do(func(v *victim) { v.frozen = false }) }

func (l *link) Capture(_ context.Context, part string, sink snapshots.Sink) (c snapshots.Captured, err error) {
	if part == "volatile" && l.isDown() {
		return c, nil
	}
	for path, text := range victimFiles[part] {
		if gone(l.dead) {
			return c, errLink
		}
		w, err := sink.Begin(snapshots.File{Path: path})
		if err != nil {
			return c, err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return c, err
		}
		sum := sha256.Sum256([]byte(text))
		err = sink.End(snapshots.File{Path: path, Source: part, Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Verdict: snapshots.Stable})
		if err != nil {
			return c, err
		}
		c.Files++
	}
	return c, nil
}

// gatewayToken is accepted by the agent's own gateway alone.
var gatewayToken = credential.Value("gateway-" + strings.Repeat("0", 32))

func (l *link) DiscoverAll(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	return l.Discover(ctx, found)
}

func (l *link) Discover(ctx context.Context, found func(discover.Found)) (s discover.Summary, err error) {
	for i, c := range l.held {
		if err := l.clock.Sleep(ctx, 20*time.Millisecond); err != nil {
			return s, err
		}
		if gone(l.dead) {
			return s, errLink
		}
		f := discover.Found{Provider: c.Provider, Kind: c.Kind, Secret: c.Secret, Ref: c.Ref, Source: credential.Source{Path: "openclaw.json", Line: i + 1}}
		found(f)
		if i%5 == 0 {
			f.Source.Path = "openclaw.json.bak"
			found(f)
		}
	}
	found(discover.Found{Provider: "openclaw", Kind: "openclaw.gateway", Secret: gatewayToken, Source: credential.Source{Path: "openclaw.json", Line: 100}})
	return discover.Summary{Files: 2, Found: len(l.held) + 1}, nil
}

func (l *link) Stop(context.Context) (s containment.Stopped, err error) {
	return containment.Stopped{Wait: 2 * time.Second}, l.do(func(v *victim) { v.killed = true })
}

func (l *link) Isolate(context.Context, containment.Cut) (i containment.Isolated, err error) {
	return containment.Isolated{How: []string{"nft"}}, l.do(func(*victim) {})
}

func (l *link) Reopen(context.Context) error  { return l.do(func(*victim) {}) }
func (l *link) Restore(context.Context) error { return l.do(func(*victim) {}) }

func (l *link) Check(context.Context) (c containment.Checked, err error) {
	return c, l.do(func(v *victim) {
		c.Down = v.killed
		c.Proof = []string{"no process of the agent"}
	})
}

func (l *link) Close() error { return nil }
