package witness

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"clawback/forensics/journal"
)

// receiver is a syslog receiver of the test's own.
type receiver struct {
	listener net.Listener
	rude     bool // end connections without having read them
	mu       sync.Mutex
	got      []string // messages
	served   sync.WaitGroup
}

func receive(t *testing.T, config *tls.Config, rude bool) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{listener: l, rude: rude}
	r.served.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			r.served.Go(func() { r.serve(tls.Server(raw, config)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.served.Wait()
	})
	return r
}

func (r *receiver) serve(conn *tls.Conn) {
	defer func() { _ = conn.Close() }()
	if r.rude { // it says that it has read everything, and ends with all of it unread
		_ = conn.Handshake()
		_ = conn.CloseWrite()
		waitForBytes(conn.NetConn())
		_ = conn.NetConn().Close()
		return
	}
	in := bufio.NewReader(conn)
	for {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || n > MaxMessage {
			return
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, string(text))
		r.mu.Unlock()
	}
}

// waitForBytes waits until there is something to read, and reads nothing.
func waitForBytes(conn net.Conn) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return n > 0 || err != syscall.EAGAIN
	})
}

func (r *receiver) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

var form = regexp.MustCompile(`^<109>1 (\S+) (\S+) clawback 4711 (entry|checkpoint) \[clawback@32473 incident="([^"]*)" (seq|size)="(\d+)"(?: sha256="([0-9a-f]{64})" part="(\d+)" parts="(\d+)")?\] (.*)$`)

// reassemble is what whoever reads the receiver's file has to do: it returns the texts of messages
// in their order, parts joined, by what they are ("entry 7").
func reassemble(t *testing.T, messages []string) (order []string, texts map[string]string) {
	t.Helper()
	texts = make(map[string]string)
	for _, m := range messages {
		f := form.FindStringSubmatch(m)
		if f == nil {
			t.Fatalf("not a message of ours: %.300q", m)
		}
		id := f[3] + " " + f[6]
		if _, seen := texts[id]; !seen {
			order = append(order, id)
		}
		texts[id] += f[10]
		if f[7] != "" && f[8] == f[9] {
			if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(texts[id]))); sum != f[7] {
				t.Errorf("%s: the parts do not make the whole", id)
			}
		}
	}
	return order, texts
}

func TestSyslogMessagesMakeUpTheRecord(t *testing.T) {
	pki := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{pki.issue("siem")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pki.pool()}
	r := receive(t, config, false)
	j := journal.InMemory(time.Now)
	for _, size := range []int{1, 500, 3000, 60_000} {
		if err := j.Append(t.Context(), "note", map[string]string{"text": strings.Repeat("ä日]\"\\", size/10)}); err != nil {
			t.Fatal(err)
		}
	}
	_ = j.Close()
	var entries []journal.Entry
	for e := range j.Entries(t.Context()) {
		entries = append(entries, e)
	}
	note := "clawback/INC-1\n4\nAAAA\n\n— clawback/INC-1 BBBB\n"
	for _, longest := range []int{0, MinMessage, 2048} {
		sink, err := NewSyslog(SyslogOptions{Address: r.listener.Addr().String(), Roots: pki.pool(), Client: []tls.Certificate{pki.issue("desk")}, Message: longest, Host: "bastion 2\n", Process: 4711})
		if err != nil {
			t.Fatal(err)
		}
		before := len(r.messages())
		if err := sink.Send(t.Context(), deliveryOf(entries, note)); err != nil {
			t.Fatal(err)
		}
		got := r.messages()[before:] // all there once Send returned
		for _, m := range got {
			if longest == 0 {
				longest = DefaultMessage
			}
			if len(m) > longest || !utf8.ValidString(m) || !strings.Contains(m, " bastion2 ") {
				t.Errorf("longest %d: %d bytes: %.200q", longest, len(m), m)
			}
		}
		order, texts := reassemble(t, got)
		if want := []string{"entry 1", "entry 2", "entry 3", "entry 4", "checkpoint 4"}; !slices.Equal(order, want) {
			t.Errorf("longest %d: %q", longest, order)
		}
		for _, e := range entries {
			if texts[fmt.Sprintf("entry %d", e.Seq)] != string(e.Line()) {
				t.Errorf("longest %d: entry %d came as another", longest, e.Seq)
			}
		}
		if strings.ReplaceAll(texts["checkpoint 4"], `\n`, "\n") != note {
			t.Errorf("longest %d: the checkpoint came as %q", longest, texts["checkpoint 4"])
		}
	}
}

func TestSyslogCountsNothingThatWasNotRead(t *testing.T) {
	pki := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{pki.issue("siem")}}
	r := receive(t, config, true)
	sink, err := NewSyslog(SyslogOptions{Address: r.listener.Addr().String(), Roots: pki.pool()})
	if err != nil {
		t.Fatal(err)
	}
	big := make([]journal.Entry, 0, 3000)
	for range 50 {
		big = append(big, entriesOf(t, 60)...)
	}
	if err := sink.Send(t.Context(), Delivery{Incident: "INC-1", Entries: big, First: 1, Last: 60}); err == nil {
		t.Error("a receiver that read nothing counts as one that did")
	}
}

func TestSyslogIsNeverSentInTheOpen(t *testing.T) {
	pki, other := newAuthority(t), newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{other.issue("siem")}}
	r := receive(t, config, false)
	sink, err := NewSyslog(SyslogOptions{Address: r.listener.Addr().String(), Roots: pki.pool()})
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("its certificate is signed by another: %v", err)
	}
	if got := r.messages(); len(got) != 0 {
		t.Errorf("it got %q", got)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	heard := make(chan []byte, 1)
	go func() {
		conn, err := plain.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 4096)
		n, _ := conn.Read(b)
		_ = conn.Close()
		heard <- b[:n]
	}()
	sink, err = NewSyslog(SyslogOptions{Address: plain.Addr().String(), Roots: pki.pool()})
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil {
		t.Error("a receiver without TLS was taken")
	}
	if b := <-heard; bytes.Contains(b, []byte("INC-1")) {
		t.Error("the record went out in the open")
	}
}

// A receiver that keeps its end open has not said that it read anything.
func TestSyslogWaitsNoLongerThanItMay(t *testing.T) {
	pki := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pki.issue("siem")}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	why := errors.New("time is up")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, conn) // to its end, and then no answer
		cancel(why)
	}()
	sink, err := NewSyslog(SyslogOptions{Address: l.Addr().String(), Roots: pki.pool()})
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(ctx, deliveryOf(entriesOf(t, 1), "")); !errors.Is(err, why) {
		t.Errorf("Send returned %v", err)
	}
}

func TestSyslogOptions(t *testing.T) {
	for name, o := range map[string]SyslogOptions{
		"no address": {}, "no port": {Address: "siem.example.com"}, "no host": {Address: ":6514"},
		"too short": {Address: "a:1", Message: 100}, "too long": {Address: "a:1", Message: 2 << 20},
	} {
		if _, err := NewSyslog(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("ä日本\U0001f44d", 4)
	f.Add("\xff\xfe\xfd\xfc\xfb\x80\x80\x80\x80\x80", 5)
	f.Fuzz(func(t *testing.T, text string, room int) {
		room = utf8.UTFMax + (room%100+100)%100
		parts := cut(text, room)
		if strings.Join(parts, "") != text {
			t.Fatalf("%q became %q", text, parts)
		}
		for _, p := range parts {
			if len(p) > room || utf8.ValidString(text) && !utf8.ValidString(p) {
				t.Fatalf("room %d: %q", room, p)
			}
		}
	})
}
