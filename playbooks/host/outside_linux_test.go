package host

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A second connection of the desk's, and a way out of the host's, by a real sshd.
func TestRealOutside(t *testing.T) {
	ctx := context.Background()
	srv := startServer(t)
	h := dial(t, srv, startWorld(t))
	defer func() { _ = h.Close() }()
	if in, err := h.WayIn(ctx); err != nil || !strings.Contains(in, "logged in") {
		t.Errorf("WayIn = %q, %v", in, err)
	}
	a, err := h.WayOut(ctx, netip.AddrPort{})
	if err != nil || a.To != netip.MustParseAddrPort("127.0.0.1:9") || a.Outcome != Answered || !strings.Contains(a.Said, "refused") {
		t.Errorf("WayOut to the desk = %+v, %v", a, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	to := netip.MustParseAddrPort(l.Addr().String())
	if a, err := h.WayOut(ctx, to); err != nil || a.To != to || a.Outcome != Answered {
		t.Errorf("WayOut to %s = %+v, %v", to, a, err)
	}

	// Who has to type something was let through all the same.
	must(t, os.WriteFile(filepath.Join(filepath.Dir(srv.config), "user.pub"), nil, 0o600))
	if in, err := h.WayIn(ctx); err != nil || !strings.Contains(in, "asked to log in") {
		t.Errorf("WayIn without a key = %q, %v", in, err)
	}
	srv.cut()
	must(t, srv.cmd.Process.Kill())
	eventually(t, "the server is gone", func() bool {
		in, err := h.WayIn(ctx)
		return err != nil && in == ""
	})
	if a, err := h.WayOut(ctx, to); err == nil || a.Outcome != Unknown {
		t.Errorf("WayOut without a server = %+v", a)
	}
}

func TestReadAttempt(t *testing.T) {
	for out, want := range map[string]Outcome{
		"clawback-reached: 10.0.0.1 0\n": Answered,
		"a banner\nclawback-reached: 10.0.0.1 1 bash: connect: Connection refused bash: line 1: /dev/tcp/": Answered,
		"clawback-reached: 10.0.0.1 124\n":                                     Silent,
		"clawback-reached: fe80::1%eth0 124\n":                                 Silent,
		"clawback-reached: 10.0.0.1 1 bash: connect: Network is unreachable\n": Unknown,
		"clawback-reached: 10.0.0.1 127 sh: 1: timeout: not found\n":           Unknown,
	} {
		if a, err := readAttempt(out, 9); err != nil || a.Outcome != want || a.To.Port() != 9 || a.To.Addr().Zone() != "" {
			t.Errorf("%q: %+v, %v, want %q", out, a, err, want)
		}
	}
	for _, out := range []string{"", "clawback-reached:", "clawback-reached:  0", "clawback-reached: web-1 0", "clawback-reached: 10.0.0.1 -1"} {
		if a, err := readAttempt(out, 9); err == nil || a.Outcome != Unknown {
			t.Errorf("%q: %+v", out, a)
		}
	}
}

func FuzzReadAttempt(f *testing.F) {
	f.Add("clawback-reached: 10.0.0.1 1 bash: connect: Connection refused\n")
	f.Add("clawback-reached: fe80::1%\x00 124 \x1b[31m")
	f.Fuzz(func(t *testing.T, out string) {
		a, err := readAttempt(out, 9)
		if err != nil && a.Outcome != Unknown || len(a.Said) > 200 || strings.ContainsAny(a.Said, "\x1b\n\x00") || a.To.Addr().Zone() != "" {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
