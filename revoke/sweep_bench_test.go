package revoke_test

import (
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// The benchmarks sweep in virtual time: ns/op and allocations are what the work costs here, fakes
// included; ratio and simulated-s are what it would take out there. synctest wants a *testing.T,
// which testing.RunTests makes, and the benchmark's own clock stays outside the bubble.
func benchmarkSweep(b *testing.B, hold func(*world)) {
	b.ReportAllocs()
	var ratio, took float64
	var total, dead int
	for b.Loop() {
		ran := false
		ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
			Name: b.Name(),
			F: func(t *testing.T) {
				if ran {
					return // RunTests minds -count and -cpu, which are the benchmark's
				}
				ran = true
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					hold(w)
					w.lag(4 * time.Second)
					began := time.Now()
					w.run(time.Hour)
					took = time.Since(began).Seconds()
					automatic := w.automatic()
					ratio = float64(fake.Span(w.calls())) / float64(w.slowest(w.held))
					total, dead = len(automatic), w.ledger.count(credential.Dead, automatic)
				})
			},
		}})
		if !ok {
			b.Fatal("the sweep failed")
		}
	}
	b.ReportMetric(ratio, "sweep/slowest-chain")
	b.ReportMetric(took, "simulated-s")
	b.ReportMetric(float64(total), "automatic")
	b.ReportMetric(float64(dead), "dead")
}

func BenchmarkSweep20(b *testing.B) {
	benchmarkSweep(b, (*world).holdTwenty)
}

// Of GitHub's 300 tokens no more can be proved than its limit allows: see Info.RefusedAnHour.
func BenchmarkSweep2000(b *testing.B) {
	benchmarkSweep(b, func(w *world) {
		w.hold("github.pat", 300)
		w.hold("aws.access_key", 600)
		w.hold("slack.bot", 600)
		w.hold("stripe.webhook_secret", 500)
	})
}
