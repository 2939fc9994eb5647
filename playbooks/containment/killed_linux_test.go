package containment

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// dies runs a verb that is killed on its way, and reports whether it was.
func (s *realSystemd) dies(verb, when string) bool {
	s.t.Helper()
	err := s.try("env", when, "CLAWBACK_TEST_ROLE="+verb, s.program)
	if err != nil && !strings.Contains(err.Error(), "137") && !strings.Contains(err.Error(), "killed") {
		s.t.Fatalf("%s: %v", verb, err)
	}
	return err != nil
}

// stands is how the machine stands, in what the verbs change.
func (s *realSystemd) stands() string {
	s.t.Helper()
	return s.run("sh", "-c", `
echo watchdogs: $(systemctl service-watchdogs)
for unit in openclaw-gateway.service openclaw-gateway.socket openclaw-gateway.timer; do
  echo $unit: $(systemctl is-enabled $unit 2>&1) $(systemctl show -P DropInPaths -P RefuseManualStart -P Restart -P KillSignal $unit)
done
echo triggers: $(systemctl is-active openclaw-gateway.socket openclaw-gateway.timer)
ls -d /run/clawback 2>/dev/null
true`)
}

// acting starts the agent, if it does not run, and waits until it does. Its watchdog is the unit's.
func (s *realSystemd) acting(when string) {
	s.t.Helper()
	before := lines(s.acts())
	s.run("systemctl", "start", "openclaw-gateway.service")
	eventually(s.t, "the agent acts "+when, func() bool { return lines(s.acts()) > before+5 })
	if got := s.run("systemctl", "show", "-P", "WatchdogUSec", "openclaw-gateway.service"); got != "1s" {
		s.t.Errorf("%s, its watchdog is %s", when, got)
	}
}

func (s *realSystemd) mustStand(want, when string) {
	s.t.Helper()
	if got := s.stands(); got != want {
		s.t.Errorf("%s, the machine stands as\n%s\ninstead of\n%s", when, got, want)
	}
}

// The host's program may be killed at any moment. Whatever it had changed by then is on its ledger, and
// the next one finishes the work, or takes it back.
func TestKilledInTheMiddle(t *testing.T) {
	s := startSystemd(t, hostileUnits)
	s.run("systemctl", "enable", "openclaw-gateway.service")
	s.run("systemctl", "start", "metronome.service", "openclaw-gateway.socket", "openclaw-gateway.timer")
	s.acting("at first")
	whole := s.stands()
	if strings.Contains(whole, "clawback") {
		t.Fatalf("to begin with it stands as\n%s", whole)
	}
	atLedger := func(n int) string { return fmt.Sprintf("CLAWBACK_TEST_DIES_AT=%d", n) }
	after := func(ms int) string { return fmt.Sprintf("CLAWBACK_TEST_DIES_AFTER=%d", ms*1000) }
	// each runs f with a verb that dies later and later, until it is not killed any more.
	each := func(verb string, when func(int) string, step int, f func(what string)) {
		t.Helper()
		for n := step; ; n += step {
			what := fmt.Sprintf("after a %s that died at %d", verb, n)
			died := s.dies(verb, when(n))
			f(what)
			if !died || t.Failed() {
				t.Logf("%s is not killed at %d", verb, n)
				return
			}
		}
	}
	t.Run("freeze, then thaw", func(*testing.T) {
		each("freeze", atLedger, 1, func(what string) {
			s.verb("thaw", nil)
			s.mustStand(whole, what)
			s.acting(what)
		})
	})
	t.Run("freeze, then stop", func(t *testing.T) {
		each("freeze", atLedger, 4, func(what string) {
			s.stops(what)
			s.verb("restore", nil)
			s.mustStand(whole, what)
			s.acting(what)
		})
	})
	t.Run("stop, then stop", func(*testing.T) {
		each("stop", atLedger, 2, func(what string) {
			s.stops(what)
			s.verb("restore", nil)
			s.mustStand(whole, what)
			s.acting(what)
		})
	})
	t.Run("stop, then restore", func(*testing.T) {
		each("stop", atLedger, 3, func(what string) {
			s.verb("restore", nil)
			s.mustStand(whole, what)
			s.acting(what)
		})
	})
	t.Run("thaw, then thaw", func(*testing.T) {
		s.verb("freeze", nil)
		each("thaw", after, 30, func(what string) {
			s.verb("thaw", nil)
			s.mustStand(whole, what)
			s.acting(what)
			var f Frozen
			s.verb("freeze", &f)
			if !f.Complete() {
				s.t.Errorf("%s, freeze = %+v", what, f)
			}
		})
	})
	s.verb("thaw", nil)
	t.Run("restore, then restore", func(*testing.T) {
		s.stops("at last")
		each("restore", after, 40, func(what string) {
			s.verb("restore", nil)
			s.mustStand(whole, what)
			s.acting(what)
			s.stops(what)
		})
	})
}

// stops kills the agent, and sees that it stays down.
func (s *realSystemd) stops(when string) {
	s.t.Helper()
	var st Stopped
	if s.verb("stop", &st); len(st.Problems) > 0 {
		s.t.Errorf("%s, stop = %+v", when, st)
	}
	s.mustBeDown()
	s.quietFor(100 * time.Millisecond)
}
