package containment

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread that is alone in a new network namespace. The thread ends with it.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)      // also when f ends the goroutine
		runtime.LockOSThread() // never unlocked: the thread is not given back
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("a network namespace of its own: %v", err)
			return
		}
		f()
	}()
	<-done
}

// twoHosts are two network namespaces with a wire between them: ours, and one of the desk's.
func twoHosts(t *testing.T) (desk int) {
	t.Helper()
	peer := exec.Command("unshare", "--net", "--", "cat") // a namespace that lives as long as this process
	stdin, err := peer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); peer.Wait() })
	ours, _ := os.Readlink("/proc/thread-self/ns/net")
	eventually(t, "the desk's namespace", func() bool {
		theirs, err := os.Readlink(procPath(peer.Process.Pid, "ns/net"))
		return err == nil && theirs != ours
	})
	pid := peer.Process.Pid
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	there := func(args ...string) {
		t.Helper()
		full := append([]string{"-n", "-t", itoa(pid), "ip"}, args...)
		if out, err := exec.Command("nsenter", full...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip("link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", itoa(pid))
	for _, side := range []struct {
		ip       func(...string)
		dev, end string
	}{{ip, "va", "1"}, {there, "vb", "2"}} {
		side.ip("addr", "add", "10.231.7."+side.end+"/24", "dev", side.dev)
		side.ip("addr", "add", "fd00:231::"+side.end+"/64", "dev", side.dev, "nodad")
		if side.end == "2" {
			side.ip("addr", "add", "10.231.7.3/24", "dev", side.dev)
			side.ip("addr", "add", "fd00:231::3/64", "dev", side.dev, "nodad")
		}
		side.ip("link", "set", side.dev, "up")
		side.ip("link", "set", "lo", "up")
	}
	for ours, theirs := range deskAddress {
		eventually(t, "the wire carries", func() bool { // far enough to be refused
			_, err := from(t, pid, theirs, net.JoinHostPort(ours, "1"))
			return errors.Is(err, unix.ECONNREFUSED)
		})
	}
	return pid
}

func itoa(n int) string { return strconv.Itoa(n) }

// deskAddress is the desk's address, by the host's, and stranger is another one at its end.
var (
	deskAddress = map[string]string{"10.231.7.1": "10.231.7.2", "fd00:231::1": "fd00:231::2"}
	stranger    = map[string]string{"10.231.7.1": "10.231.7.3", "fd00:231::1": "fd00:231::3"}
)

// from opens a connection from the desk's namespace to address, in a process's place, from one of
// its own addresses.
func from(t *testing.T, pid int, local, address string) (net.Conn, error) {
	t.Helper()
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(procPath(pid, "ns/net"))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err != nil {
			done <- result{nil, err}
			return
		}
		dialer := net.Dialer{Timeout: 500 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
		conn, err := dialer.Dial("tcp", address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// answers reports whether what is written on one end still comes out at the other.
func answers(a, b net.Conn) bool {
	if _, err := a.Write([]byte("x")); err != nil {
		return false
	}
	b.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	_, err := io.ReadFull(b, make([]byte, 1))
	return err == nil
}

func TestFirewall(t *testing.T) {
	needRoot(t, "ip", "unshare", "nsenter")
	for name, host := range map[string]string{"IPv4": "10.231.7.1", "IPv6": "fd00:231::1"} {
		t.Run(name, func(t *testing.T) { inNamespace(t, func() { testFirewall(t, host) }) })
	}
}

func testFirewall(t *testing.T, host string) {
	ctx := context.Background()
	desk := twoHosts(t)
	sshd, err1 := net.Listen("tcp", net.JoinHostPort(host, "0"))
	gateway, err2 := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err := errors.Join(err1, err2); err != nil {
		t.Error(err)
		return
	}
	defer sshd.Close()
	defer gateway.Close()
	pair := func(l net.Listener) (theirs, ours net.Conn, err error) {
		theirs, err = from(t, desk, deskAddress[host], l.Addr().String())
		if err != nil {
			return nil, nil, err
		}
		ours, err = l.Accept()
		return theirs, ours, err
	}
	ssh, sshHere, err1 := pair(sshd)
	other, otherHere, err2 := pair(gateway)
	if err := errors.Join(err1, err2); err != nil || !answers(ssh, sshHere) || !answers(otherHere, other) {
		t.Error("no network to begin with:", err)
		return
	}
	keep := Connection{Local: addrPort(sshHere.LocalAddr()), Remote: addrPort(sshHere.RemoteAddr())}
	for range 2 { // again is no error, and changes nothing
		done, err := Firewall{}.Isolate(ctx, []Connection{keep}, nil)
		if err != nil || len(done.Problems) > 0 || len(done.Proof) != 3 || len(done.Kept) != 1 {
			t.Errorf("Isolate = %+v, %v", done, err)
			return
		}
		if standing, err := (Firewall{}).Standing(ctx); err != nil || len(standing) != 1 || standing[0] != "nftables table inet clawback" {
			t.Errorf("Standing = %q, %v", standing, err)
		}
		if !answers(ssh, sshHere) || !answers(sshHere, ssh) {
			t.Error("the desk's connection was cut")
		}
		if answers(otherHere, other) || answers(other, otherHere) {
			t.Error("an established connection is still open")
		}
		if _, _, err := pair(gateway); err == nil {
			t.Error("a new connection came in")
		}
		if _, err := from(t, desk, stranger[host], sshd.Addr().String()); err == nil {
			t.Error("ssh came in from another address than the desk's")
		}
		again, againHere, err := pair(sshd)
		if err != nil || !answers(again, againHere) {
			t.Error("the desk cannot come back:", err)
		}
	}
	lo, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", lo.Addr().String(), time.Second); err == nil {
			conn.Close()
		}
		lo.Close()
	}
	if err != nil {
		t.Error("loopback was cut:", err)
	}
	for range 2 {
		if err := (Firewall{}).Restore(ctx); err != nil {
			t.Error(err)
		}
	}
	if standing, err := (Firewall{}).Standing(ctx); err != nil || len(standing) > 0 {
		t.Errorf("Standing after Restore = %q, %v", standing, err)
	}
	if _, err := confirm("input"); err == nil {
		t.Error("the table is still there")
	}
	if _, _, err := pair(gateway); err != nil {
		t.Error("the network did not come back:", err)
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
