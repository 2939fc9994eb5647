package tree

import (
	"fmt"
	mrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/discover/sqlite"
)

// structured is what a search reports of places that are known, and what it is: not what it guesses.
func structured(t *testing.T, dir string, creds []credential.Credential, more []Place) (found []string, summary discover.Summary) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	summary, err = discover.Scan(t.Context(), root, discover.Options{Databases: sqlite.Read}, func(f discover.Found) {
		if f.Doubt != "" && f.Doubt != discover.Expired {
			return
		}
		what := f.Provider + " " + f.Kind
		i := slices.IndexFunc(creds, func(c credential.Credential) bool { return c.Secret.Equal(f.Secret) })
		switch {
		case f.Unresolved != "":
			what = "unresolved"
		case i >= 0 && creds[i].Ref["endpoint"] == f.Ref["endpoint"]:
			what = fmt.Sprintf("%d %s", i, what)
		case !slices.ContainsFunc(more, func(p Place) bool { return p.Credential.Secret.Equal(f.Secret) }):
			what = "nothing that was put there: " + what
		}
		found = append(found, what+" at "+place(f.Source))
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found, summary
}

// wanted is the truth in the same form, of what stands in places that are known.
func wanted(creds []credential.Credential, truth Truth) (want []string) {
	for i, c := range creds {
		for _, s := range truth.Sources[i] {
			line := fmt.Sprintf("%d %s %s at %s", i, c.Provider, c.Kind, place(s))
			if !strings.HasPrefix(s.Locator, "transcript_events/") || !slices.Contains(want, line) { // a row may repeat it
				want = append(want, line)
			}
		}
	}
	for _, p := range truth.More {
		what := "unresolved"
		if !p.Unresolved {
			what = p.Credential.Provider + " " + p.Credential.Kind
		}
		want = append(want, what+" at "+place(p.Source))
	}
	slices.Sort(want)
	return want
}

// In each generation, everything that stands in a known place is found there and is what it is, and
// nothing else counts as such.
func TestEachGeneration(t *testing.T) {
	for _, generation := range []string{"A", "B", "C"} {
		t.Run(generation, func(t *testing.T) {
			states, tables := map[string]bool{}, map[string]bool{}
			for seed := range uint64(20) {
				dir := t.TempDir()
				creds := everyKind(1 + int(seed%2))
				opts := Options{Generation: generation, Varied: true, Lookalikes: 500}
				truth, err := GenerateWith(dir, mrand.New(mrand.NewPCG(seed, 17)), creds, opts)
				if err != nil {
					t.Fatal(err)
				}
				want := wanted(creds, truth)
				got, summary := structured(t, dir, creds, truth.More)
				if missing, extra := without(want, got), without(got, want); len(missing)+len(extra) > 0 {
					t.Errorf("seed %d, %s: not found:\n%s\nfound and not there:\n%s", seed, truth.StateDir, strings.Join(missing, "\n"), strings.Join(extra, "\n"))
				}
				if len(summary.Problems) > 0 {
					t.Errorf("seed %d: problems %+v", seed, summary.Problems)
				}
				states[truth.StateDir] = true
				for _, w := range want {
					if _, at, ok := strings.Cut(w, ".sqlite:0 ("); ok {
						table, _, _ := strings.Cut(at, "/")
						tables[table] = true
					}
				}
				checkGeneration(t, dir, truth, generation)
				if t.Failed() {
					return
				}
			}
			if len(states) < 4 {
				t.Errorf("only %v", states)
			}
			if n := len(tables); generation == "A" && n > 0 || generation != "A" && n < 10 {
				t.Errorf("credentials in the tables %v", tables)
			}
		})
	}
}

func checkGeneration(t *testing.T, dir string, truth Truth, generation string) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	found, _ := openclaw.Locate(root)
	if len(found) != 1 || found[0].StateDir != truth.StateDir || found[0].Generation != generation {
		t.Errorf("located %+v, and it is %s of generation %s", found, truth.StateDir, generation)
	}
}

// without returns what of all is not in some, each as often as it is there.
func without(all, some []string) (out []string) {
	some = slices.Clone(some)
	for _, s := range all {
		if i := slices.Index(some, s); i >= 0 {
			some = slices.Delete(some, i, i+1)
			continue
		}
		out = append(out, s)
	}
	return out
}
