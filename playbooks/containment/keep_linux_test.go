package containment

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// there runs f in the network namespace of a process.
func there(pid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not given back
		ns, err := os.Open(procPath(pid, "ns/net"))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// What is kept stays in reach by its address and port, both ways, and nothing beside it does.
func TestFirewallKeeps(t *testing.T) {
	needRoot(t, "ip", "unshare", "nsenter")
	for name, host := range map[string]string{"IPv4": "10.231.7.1", "IPv6": "fd00:231::1"} {
		t.Run(name, func(t *testing.T) { inNamespace(t, func() { testKeeps(t, host) }) })
	}
}

func testKeeps(t *testing.T, host string) {
	ctx := context.Background()
	far := twoHosts(t)
	siem := stranger[host]
	var kept, other, elsewhere net.Listener
	var udp net.PacketConn
	err := there(far, func() (err error) {
		for _, l := range []struct {
			to   *net.Listener
			addr string
		}{{&kept, siem}, {&other, siem}, {&elsewhere, deskAddress[host]}} {
			if err == nil {
				*l.to, err = net.Listen("tcp", net.JoinHostPort(l.addr, "0"))
			}
		}
		if err == nil {
			udp, err = net.ListenPacket("udp", kept.Addr().String())
		}
		return err
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer udp.Close()
	for _, l := range []net.Listener{kept, other, elsewhere} {
		defer l.Close()
	}
	inside, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Error(err)
		return
	}
	defer inside.Close()
	dials := func(l net.Listener) bool {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 500*time.Millisecond)
		if err != nil {
			return false
		}
		defer conn.Close()
		for { // past what came of a try before that nobody waited for
			end, err := l.Accept()
			if err != nil {
				return false
			}
			defer end.Close()
			if end.RemoteAddr().String() == conn.LocalAddr().String() {
				return answers(conn, end) && answers(end, conn)
			}
		}
	}
	arrives := func(from, to net.PacketConn) bool {
		if _, err := from.WriteTo([]byte("x"), to.LocalAddr()); err != nil {
			return false
		}
		to.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, _, err := to.ReadFrom(make([]byte, 8))
		return err == nil
	}
	eventually(t, "both ends know each other", func() bool {
		return dials(kept) && dials(other) && dials(elsewhere) && arrives(inside, udp) && arrives(udp, inside)
	})
	done, err := Firewall{}.Isolate(ctx, nil, []Keep{{"siem", netip.MustParseAddrPort(kept.Addr().String())}})
	if err != nil || len(done.Problems) > 0 || len(done.Kept) != 1 || done.Kept[0] != "siem: "+kept.Addr().String()+", TCP and UDP, both ways" {
		t.Errorf("Isolate = %+v, %v", done, err)
	}
	if !dials(kept) || !arrives(inside, udp) || !arrives(udp, inside) {
		t.Error("what is kept is cut off")
	}
	if dials(other) {
		t.Error("another port of what is kept is in reach")
	}
	if dials(elsewhere) {
		t.Error("another address is in reach")
	}
	var stray net.PacketConn
	err = there(far, func() (err error) { stray, err = net.ListenPacket("udp", net.JoinHostPort(siem, "0")); return err })
	if err != nil || arrives(stray, inside) || arrives(inside, stray) {
		t.Errorf("another port of what is kept gets through (%v)", err)
	}
	if err == nil {
		stray.Close()
	}
	if err := (Firewall{}).Restore(ctx); err != nil || !dials(other) || !dials(elsewhere) {
		t.Errorf("the network did not come back: %v", err)
	}
}
