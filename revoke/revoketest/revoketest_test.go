package revoketest

import (
	"testing"
	"testing/synctest"

	"clawback/revoke/fake"
)

func TestAnHonestProviderPasses(t *testing.T) {
	Run(t, Suite{New: newToy(func(*toy) {}), Fake: newToyFake})
}

// TestALyingProviderFails has one lie per line, and the check that catches it.
func TestALyingProviderFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		lie   func(*toy)
		kind  string
		check string
	}{
		{"takes any 401 for death", func(p *toy) { p.trustsStatus = true }, suicidal, "verify under 401 from a proxy"},
		{"takes any 401 for death", func(p *toy) { p.trustsStatus = true }, suicidal, "never dead under 401 from a proxy"},
		{"takes any 401 for death", func(p *toy) { p.trustsStatus = true }, byHand, "never dead under 401 of other JSON"},
		{"takes silence for death", func(p *toy) { p.trustsErrors = true }, suicidal, "verify under hang"},
		{"takes silence for death", func(p *toy) { p.trustsErrors = true }, suicidal, "verify under cut body"},
		{"takes silence for death", func(p *toy) { p.trustsErrors = true }, suicidal, "never dead under hang"},
		{"takes any 200 for success", func(p *toy) { p.softSuccess = true }, suicidal, "revoke under 200 from a captive portal"},
		{"takes any 200 for success", func(p *toy) { p.softSuccess = true }, bulk, "batch"},
		{"fails on the dead", func(p *toy) { p.notIdempotent = true }, suicidal, "revoking twice"},
		{"fails on the dead", func(p *toy) { p.notIdempotent = true }, suicidal, "dead before"},
		{"repeats the server's words", func(p *toy) { p.leaksAnswer = true }, suicidal, "secrets stay inside"},
		{"repeats the server's words", func(p *toy) { p.leaksAnswer = true }, admin, "secrets stay inside"},
		{"puts the token into errors", func(p *toy) { p.leaksError = true }, suicidal, "secrets stay inside"},
		{"quotes a server that echoes", func(p *toy) { p.quotesServer = true }, suicidal, "secrets stay inside"},
		{"ignores cancellation", func(p *toy) { p.ignoresContext = true }, suicidal, "a cancelled context sends nothing"},
		{"reads what it did not declare", func(p *toy) { p.undeclaredRead = true }, suicidal, "reads only"},
		{"declares a change as a read", func(p *toy) { p.changingRead = true }, suicidal, "reads only"},
		{"calls its own host", func(p *toy) { p.ignoresEndpoint = true }, suicidal, "pinned endpoint"},
		{"forgets Retry-After", func(p *toy) { p.noRetryAfter = true }, suicidal, "verify under 429 with Retry-After"},
		{"hides a rate limit", func(p *toy) { p.noRetryError = true }, suicidal, "revoke under 429 with Retry-After"},
		{"boasts", func(p *toy) { p.boastsOfManual = true }, byHand, "by hand"},
		{"judges what no probe can", func(p *toy) { p.judgesSilent = true }, silent, "lives, then dies"},
		{"judges what no probe can", func(p *toy) { p.judgesSilent = true }, silent, "never dead under 500"},
		{"hides a missing authority", func(p *toy) { p.noAuthorityError = true }, admin, "no authority"},
		{"hides a refused authority", func(p *toy) { p.notIdempotent = true }, admin, "authority refused"},
		{"is too certain", func(p *toy) { p.certain = true }, suicidal, "answer lost after the change"},
		{"is too certain", func(p *toy) { p.certain = true }, suicidal, "change lost to 502"},
		{"is too certain", func(p *toy) { p.certain = true }, bulk, "batch"},
		{"sends one by one", func(p *toy) { p.manyInBatch = true }, bulk, "batch"},
		{"drops half of a batch", func(p *toy) { p.half = true }, bulk, "batch"},
		{"probes twice", func(p *toy) { p.probesTwice = true }, suicidal, "verify under 500"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "lives, then dies"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, byHand, "by hand"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "never dead: accepted and not done"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "never dead: long lag"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "never dead: every second node lags"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "never dead: every third node lags"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "never dead: another credential died"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "no secret is known"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "many at once"},
		{"says alive without asking", func(p *toy) { p.alwaysAlive = true }, suicidal, "lives, then dies"},
		{"says refused without asking", func(p *toy) { p.alwaysRefused = true }, suicidal, "the fake has nodes that lag"},
		{"says alive without asking", func(p *toy) { p.alwaysAlive = true }, suicidal, "the fake has nodes that lag"},
		{"says alive without asking", func(p *toy) { p.alwaysAlive = true }, suicidal, "hostile secrets"},
		{"gives no source", func(p *toy) { p.badInfo = true }, suicidal, "info"},
	} {
		t.Run(c.name+", "+c.kind+", "+c.check, func(t *testing.T) {
			run := checkNamed(t, c.check)
			synctest.Test(t, func(t *testing.T) {
				w, err := newWorld(Suite{New: newToy(c.lie), Fake: newToyFake}, c.kind)
				if err != nil {
					t.Fatal(err)
				}
				defer w.close()
				if err := run(w); err == nil {
					t.Error("the lie was not found")
				} else {
					t.Log(err)
				}
			})
		})
	}
}

// deaf is a fake on which nobody can turn a knob.
type deaf struct {
	fake.Provider
	knobs *fake.Knobs
}

func (d deaf) Knobs() *fake.Knobs { return d.knobs }

func TestADeafFakeFails(t *testing.T) {
	suite := Suite{New: newToy(func(*toy) {}), Fake: func(c fake.Clock) fake.Provider { return deaf{newToyFake(c), fake.NewKnobs(c)} }}
	for _, kind := range []string{suicidal, admin, bulk, byHand, silent} {
		for _, name := range []string{"a fake that stays alive fails", "the fake has nodes that lag", "never dead: the provider's clock is ahead"} {
			run := checkNamed(t, name)
			synctest.Test(t, func(t *testing.T) {
				w, err := newWorld(suite, kind)
				if err != nil {
					t.Fatal(err)
				}
				defer w.close()
				if err := run(w); err == nil && (kind != silent || name != "the fake has nodes that lag") {
					t.Errorf("%s: %s passes", kind, name)
				}
			})
		}
	}
}

func checkNamed(t *testing.T, name string) func(*world) error {
	for _, c := range append(checks(), check{"info", checkInfo}) {
		if c.name == name {
			return c.run
		}
	}
	t.Fatalf("no check is named %q", name)
	return nil
}
