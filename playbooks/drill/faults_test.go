package drill

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// A disk that fails or is full holds up nothing at the host and the providers, whichever write it
// refuses, once or from then on; and what is lost is said, by the record and the exit code. With
// CLAWBACK_CRASH=all it fails at every operation.
func TestDiskFaults(t *testing.T) {
	want := respondUndisturbed(t)
	if t.Failed() {
		return
	}
	total, points := len(want.operations), 24
	if os.Getenv("CLAWBACK_CRASH") == "all" {
		points = total
	}
	tried := 0
	for k := 1; k <= total; k++ {
		if k*points/total == (k-1)*points/total {
			continue
		}
		for n, fault := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
			forEver := (k+n)%2 == 0
			if points == total {
				tryFault(t, want, k, fault, !forEver)
				tried++
			}
			tryFault(t, want, k, fault, forEver)
			tried++
		}
	}
	t.Logf("%d faults of the disk tried: the agent down and every credential dead at each", tried)
}

func tryFault(t *testing.T, want undisturbed, k int, fault syscall.Errno, forEver bool) {
	name := fmt.Sprintf("%v at %d", fault, k)
	if forEver {
		name = fmt.Sprintf("%v from %d on", fault, k)
	}
	t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newCrashWorld(t)
			defer w.end()
			if err := os.Mkdir(w.dir(), 0o700); err != nil {
				t.Fatal(err)
			}
			d := w.disk()
			if forEver {
				d.FailFrom(k, fault)
			} else {
				d.FailAt(k, fault)
			}
			s, err := w.run(w.dir(), d, false)
			c := &crash{crashWorld: w, want: want, name: name}
			for _, held := range w.Held {
				got := s.Credential(w.key.Identify(held).Fingerprint)
				if got == nil || got.Life != c.lifeOf(held.Kind) || w.Fakes[held.Provider].Alive(held) {
					t.Errorf("%s is %+v", held.Kind, got)
				}
			}
			if evidence := failedGate(s); !w.victim.isDown() && !evidence {
				t.Errorf("the agent is not down: %v\n%s", err, problems(s))
			}
			ops := d.List()
			if k > len(ops) {
				return // it took less this time
			}
			failed := ops[k-1]
			if strings.Contains(failed, journal.FileName) && s.Trouble == "" {
				t.Errorf("%s, and nobody shouted", failed)
			}
			switch {
			case s.ExitCode() != incident.ExitContained || err != nil:
			case slices.ContainsFunc(s.Warnings, func(w incident.Warning) bool {
				return strings.Contains(w.Text, "keep the secret of")
			}): // what a later run would have needed; this one did without it
			case skippedWith(s, fault.Error()): // there was nothing to keep, and what is left of that says so
			default:
				t.Errorf("%s, and it ends with %d without a word\n%s", failed, s.ExitCode(), problems(s))
			}
		})
	})
}

// skippedWith reports whether a step says so that had nothing to do.
func skippedWith(s incident.State, words string) bool {
	for _, step := range s.Steps {
		if step.Status == incident.Skipped && strings.Contains(step.Outcome.Note, words) {
			return true
		}
	}
	return false
}

// failedGate reports whether the agent was left frozen, not killed, because its evidence is not sealed.
func failedGate(s incident.State) bool {
	return s.ExitCode() == incident.ExitEvidence
}
