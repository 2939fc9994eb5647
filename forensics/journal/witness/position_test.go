package witness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk"
)

func TestAResumedRunGoesOnWhereTheSinkIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := record(t)
		var first, second keeper
		s := begin(t, dir, j, exact, Named{"siem", &first})
		s.append(5)
		s.seal(4)
		time.Sleep(2 * time.Second)
		s.die()
		s.append(2) // while nobody sends
		s = begin(t, dir, j, exact, Named{"siem", &second})
		if h := s.witness.Held()[0]; h.Entries != 5 || h.Checkpoint != 4 {
			t.Errorf("held at the start: %+v", h)
		}
		s.seal(4) // the newest checkpoint there is, told again
		s.append(1)
		s.seal(8)
		s.end()
		if got := append(first.lines(), second.lines()...); !slices.Equal(got, recordOf(t, j)) {
			t.Errorf("both runs sent %q", got)
		}
		if got := second.sizes(t); !slices.Equal(got, []uint64{8}) {
			t.Errorf("the second run sent checkpoints of %d", got)
		}
	})
}

func TestWhatASinkHoldsIsCheckedAgainstTheRecord(t *testing.T) {
	tests := map[string]struct {
		kept string
		says string
		all  bool // is sent again
	}{
		"the same":       {``, "", false},
		"another entry":  {`{"held":3,"hash":"00"}`, "another entry 3", true},
		"a longer one":   {`{"held":30,"hash":"00"}`, "entries of the record are lost", true},
		"not a position": {`{"held":`, "", true},
		"of another age": {`{"held":3,"hash":""}`, "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				j := record(t)
				var k keeper
				s := begin(t, dir, j, exact, Named{"siem", &k})
				s.append(3)
				time.Sleep(2 * time.Second)
				s.die()
				if test.kept != "" {
					if err := os.WriteFile(filepath.Join(dir, Folder, "siem.json"), []byte(test.kept), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				var again keeper
				s = begin(t, dir, j, exact, Named{"siem", &again})
				s.append(1)
				s.end()
				h := s.witness.Held()[0]
				if got := again.lines(); (len(got) == 4) != test.all || h.Entries != 4 {
					t.Errorf("%d lines were sent again, held %+v", len(got), h)
				}
				if (h.Error == "") != (test.says == "") || !strings.Contains(h.Error, test.says) {
					t.Errorf("it says %q", h.Error)
				}
			})
		})
	}
}

func TestASinkThatLostSomethingIsGivenItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var have uint64
		lost := false
		k := &keeper{answer: func(_ context.Context, d Delivery) error {
			if have == 4 && !lost {
				lost, have = true, 2
			}
			if len(d.Entries) > 0 && d.First > have+1 {
				return &BehindError{have, errors.New("the copy was cut")}
			}
			have = max(have, d.Last)
			return nil
		}}
		s := begin(t, t.TempDir(), record(t), exact, Named{"share", k})
		s.append(4)
		time.Sleep(2 * time.Second)
		s.append(2)
		s.seal(6)
		s.end()
		if h := s.witness.Held()[0]; h.Entries != 6 || h.Checkpoint != 6 || !strings.Contains(h.Error, "the copy was cut") {
			t.Errorf("held: %+v", h)
		}
		if n := len(k.lines()); n != 4+4 {
			t.Errorf("%d lines were taken", n)
		}
	})
}

// A disk that refuses to keep the position stops nothing.
func TestThePositionIsNoCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var k keeper
		s := begin(t, dir, record(t), exact, Named{"siem", &k})
		s.append(3)
		s.end()
		if h := s.witness.Held()[0]; h.Entries != 3 || h.Error == "" {
			t.Errorf("held: %+v", h)
		}
	})
}

func TestThePositionIsNoPipe(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, Folder), 0o700), syscall.Mkfifo(filepath.Join(dir, Folder, "a.json"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if at, err := positionOf(disk.OS{}, dir, "a").load(); err == nil || at != (standing{}) {
		t.Errorf("%+v, %v", at, err)
	}
}
