package witness

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/journal"
)

const rsyslogConf = `
global(workDirectory="%[1]s" defaultNetstreamDriver="%[2]s"
  defaultNetstreamDriverCAFile="%[1]s/ca.pem" defaultNetstreamDriverCertFile="%[1]s/siem.pem" defaultNetstreamDriverKeyFile="%[1]s/siem.key")
module(load="imtcp" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="asItCame" type="string" string="%%rawmsg%%\n")
action(type="omfile" file="%[1]s/out.log" template="asItCame")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="%[1]s/port")
`

// rsyslog starts the real thing on loopback, in dir, which holds its certificates, and returns how to
// reach it, and what ends it in order.
func rsyslog(t *testing.T, dir, driver string) (address string, stop func()) {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		program = "/usr/sbin/rsyslogd"
	}
	module, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_" + driver + ".so")
	if _, err := os.Stat(program); err != nil || len(module) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("rsyslogd with its TLS driver %s is missing", driver)
		}
		t.Skipf("rsyslogd with its TLS driver %s is missing (Debian: rsyslog, rsyslog-gnutls, rsyslog-openssl)", driver)
	}
	conf, port := filepath.Join(dir, "rsyslog.conf"), filepath.Join(dir, "port")
	_ = os.Remove(port)
	if err := os.WriteFile(conf, fmt.Appendf(nil, rsyslogConf, dir, driver), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(program, "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	for until := time.Now().Add(time.Minute); ; {
		if b, err := os.ReadFile(port); err == nil && len(b) > 0 {
			address = "127.0.0.1:" + strings.TrimSpace(string(b))
			if conn, err := net.Dial("tcp", address); err == nil {
				_ = conn.Close()
				return address, stop
			}
		}
		if time.Now().After(until) {
			stop()
			t.Fatalf("rsyslogd does not listen: %s", said.String())
		}
		poll()
	}
}

// poll waits a little between two looks at another process.
func poll() {
	<-time.After(20 * time.Millisecond)
}

// What a real receiver writes to its file is the record, line by line, also over an outage.
func TestRealRsyslog(t *testing.T) {
	for _, driver := range []string{"gtls", "ossl"} {
		t.Run(driver, func(t *testing.T) {
			pki := newAuthority(t)
			pki.issue("siem")
			address, stop := rsyslog(t, pki.dir, driver)
			sink, err := NewSyslog(SyslogOptions{Address: address, Roots: pki.pool(), Client: []tls.Certificate{pki.issue("desk")}, Host: "bastion", Process: 4711})
			if err != nil {
				t.Fatal(err)
			}
			j := journal.InMemory(time.Now)
			for n := range 300 {
				size := 10
				if n%100 == 50 {
					size = 30_000 // longer than one message
				}
				if err := j.Append(t.Context(), "note", map[string]string{"text": strings.Repeat("größer \"]\\", size/10)}); err != nil {
					t.Fatal(err)
				}
			}
			_ = j.Close()
			var entries []journal.Entry
			var want []string
			for e := range j.Entries(t.Context()) {
				entries = append(entries, e)
				want = append(want, fmt.Sprintf("entry %d", e.Seq))
			}
			note := "clawback/INC-1\n200\nAAAA\n\n— clawback/INC-1 BBBB\n"
			if err := sink.Send(t.Context(), deliveryOf(entries[:200], note)); err != nil {
				t.Fatal(err)
			}
			stop()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := sink.Send(ctx, deliveryOf(entries[200:], "")); err == nil {
				t.Error("nobody is there, and it counts as sent")
			}
			address, stop = rsyslog(t, pki.dir, driver)
			sink.address = address
			if err := sink.Send(t.Context(), deliveryOf(entries[200:], "")); err != nil {
				t.Fatal(err)
			}
			stop() // it writes what it has before it ends
			out, err := os.ReadFile(filepath.Join(pki.dir, "out.log"))
			if err != nil {
				t.Fatal(err)
			}
			var ours []string
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, dataID) {
					ours = append(ours, strings.TrimSuffix(line, "\n"))
				}
			}
			order, texts := reassemble(t, ours)
			want = slices.Insert(want, 200, "checkpoint 200")
			if !slices.Equal(order, want) {
				t.Errorf("%d messages, not %d: %q", len(order), len(want), order)
			}
			for _, e := range entries {
				if got := texts[fmt.Sprintf("entry %d", e.Seq)]; got != string(e.Line()) {
					t.Errorf("entry %d stands in the file as %.200q", e.Seq, got)
				}
			}
			if strings.ReplaceAll(texts["checkpoint 200"], `\n`, "\n") != note {
				t.Errorf("the checkpoint stands in the file as %q", texts["checkpoint 200"])
			}
		})
	}
}
