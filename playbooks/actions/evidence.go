package actions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/snapshots"
)

// capture takes one part of the evidence from the host and seals it at the desk. What is not
// sealed is no evidence: then the agent is not killed.
func (r *Response) capture(ctx context.Context, s playbooks.Step, rec engine.Recorder) error {
	part := text(s.With["part"])
	sealed, path, stands, err := r.standing(part, rec)
	var kept *kept
	if err == nil && !stands {
		kept = r.readable(part, rec)
		sealed, err = r.preserve(ctx, part, path, kept)
	}
	if err != nil {
		_ = kept.wipe() // it goes when the run ends
		r.noFiles(part)
	}
	nothing := errors.Is(err, ErrNothing) || errors.Is(err, host.ErrNoImager)
	if (err == nil || nothing) && part != snapshots.PartMemory {
		r.mu.Lock()
		r.captured = true
		r.mu.Unlock()
	}
	if nothing {
		return engine.Skipped{Reason: err.Error()}
	}
	if err != nil && part == snapshots.PartMemory {
		return hinted{err: fmt.Errorf("image the memory of %s: %w", r.Host.Name(), err),
			hint: r.next(err, "nothing waits for the image; while the machine runs it can be taken again with "+r.resume())}
	}
	if err != nil {
		r.mu.Lock()
		r.unsealed = append(r.unsealed, fmt.Errorf("%s: %w", part, err))
		r.mu.Unlock()
		return hinted{gate: true, err: fmt.Errorf("preserve the %s evidence of %s: %w", part, r.Host.Name(), err),
			hint: r.next(err, "the agent stays frozen, so its evidence is still there: make room at the desk and run it again with "+r.resume())}
	}
	if !stands {
		rec.Note(incident.TypeSealed, sealed)
	}
	r.stampSealed(ctx, sealed, r.late.rec)
	r.filesSealed(part, sealed.Path, kept)
	r.readDatabases(ctx, rec)
	if len(sealed.Left) > 0 {
		// What is sealed is whole, and it is not everything: that must not read as success.
		return hinted{err: fmt.Errorf("%s of the %s evidence left out, the first is %s", plural(len(sealed.Left), "thing", "things"), part, sealed.Left[0]),
			hint: "copy what was left out by hand before the machine is touched"}
	}
	return nil
}

// readable makes room for what the desk itself reads of a part of the evidence while it comes; nil
// where there is nothing.
func (r *Response) readable(part string, rec engine.Recorder) *kept {
	r.mu.Lock()
	wanted := r.databases.capture
	r.mu.Unlock()
	if part != "files" || !wanted || !r.Host.Remote() {
		return nil
	}
	k, err := newKept()
	if err != nil {
		rec.Note(incident.TypeWarning, incident.Warning{Text: "databases of " + r.Host.Name() + " are not kept in memory for the desk: " + err.Error(),
			Hint: "they are read from the sealed evidence, unless that is encrypted"})
		return nil
	}
	return k
}

// evidencePath is where a part of the evidence is, below the incident's folder, but for its suffix.
func evidencePath(part string) string { return filepath.Join("evidence", part) }

// ErrNothing means that a part of the evidence does not exist: nothing runs on a mounted disk.
var ErrNothing = errors.New("there is nothing of it here")

// Preserve takes one part of the evidence, "volatile" or "files", and seals it as a package of that
// name, and a suffix, below the incident's folder. With ErrNothing no package is left.
func (r *Response) Preserve(ctx context.Context, part, name string) (incident.Sealed, error) {
	return r.preserve(ctx, part, name, nil)
}

func (r *Response) preserve(ctx context.Context, part, name string, kept *kept) (incident.Sealed, error) {
	return r.seal(ctx, part, name, r.Host.Name(), kept, func(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
		return r.Host.Capture(ctx, part, sink)
	})
}

// seal seals what capture takes from a source, as Preserve does.
func (r *Response) seal(ctx context.Context, part, name, source string, kept *kept, capture func(context.Context, snapshots.Sink) (snapshots.Captured, error)) (incident.Sealed, error) {
	if r.Dir == "" {
		return incident.Sealed{}, errors.New("the desk has no folder for it")
	}
	bag, err := snapshots.NewBag(r.path(name), snapshots.Info{
		Incident: filepath.Base(r.Dir), Source: source, Tool: "clawback " + r.Version, Time: r.Clock.Now(), Disk: r.Disk,
		Recipients: r.Recipients, Hold: r.heldFor(),
	})
	if err != nil {
		return incident.Sealed{}, err
	}
	defer func() { _ = bag.Close() }() // of one that was not sealed; that has its own error
	var sink snapshots.Sink = bag
	if kept != nil {
		sink = &keptSink{Sink: bag, k: kept}
	}
	count := &counting{sink: sink, verdicts: make(map[string]int)}
	captured, err := capture(ctx, count)
	problems, early := captured.Problems, false
	switch {
	case count.err != nil: // the desk could not write
		return incident.Sealed{}, count.err
	case errors.Is(err, host.ErrNoImager):
		return incident.Sealed{}, errors.Join(err, bag.Discard())
	case err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
		return incident.Sealed{}, err
	case err != nil:
		// The time was up. What came until then is whole, file by file, and worth sealing.
		early = true
		captured.Left = append([]string{"what came after the capture was ended early: " + err.Error()}, captured.Left...)
	}
	if len(count.verdicts) == 0 && err == nil {
		return incident.Sealed{}, errors.Join(ErrNothing, bag.Discard())
	}
	sealed, err := bag.Seal()
	if err != nil {
		return incident.Sealed{}, err
	}
	out := incident.Sealed{
		Part: part, Path: filepath.Join(filepath.Dir(name), filepath.Base(sealed.Path)), Files: sealed.Files, Bytes: sealed.Bytes,
		Manifest: sealed.Manifest, Digest: sealed.Digest, Package: sealed.Package,
		Verdicts: count.verdicts, Left: bounded(captured.Left), Early: early, Problems: bounded(append(problems, sealed.Problems...)),
	}
	r.sign(ctx, sealed.Path, &out)
	return out, nil
}

// bounded keeps an entry of the journal within its size. What was captured stands whole in the bag's index.
func bounded(list []string) []string {
	const most = 100
	if len(list) <= most {
		return list
	}
	return append(list[:most:most], fmt.Sprintf("and %d more", len(list)-most))
}

// boundedCounts is what a host says that it left out, in a size that somebody reads.
func boundedCounts(counts map[string]int) map[string]int {
	const most, each = 20, 60
	out := make(map[string]int)
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		if len(out) < most {
			out[incident.Cut(what, each)] += counts[what]
		}
	}
	return out
}

// counting passes a capture on, counts its verdicts and remembers whether it was the desk that failed.
type counting struct {
	sink     snapshots.Sink
	verdicts map[string]int
	err      error
}

func (c *counting) Begin(f snapshots.File) (io.Writer, error) {
	w, err := c.sink.Begin(f)
	if err != nil {
		c.err = err
		return nil, err
	}
	return countingWriter{c, w}, nil
}

func (c *counting) End(f snapshots.File) error {
	c.verdicts[f.Verdict]++
	err := c.sink.End(f)
	if err != nil {
		c.err = err
	}
	return err
}

type countingWriter struct {
	c *counting
	w io.Writer
}

func (w countingWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if err != nil {
		w.c.err = err
	}
	return n, err
}

// Unwrap is where all goes: snapshots.Capture asks what it sums up.
func (w countingWriter) Unwrap() io.Writer { return w.w }

// Hole implements snapshots.HoleWriter.
func (w countingWriter) Hole(n int64) error {
	err := snapshots.WriteHole(w.w, n)
	if err != nil {
		w.c.err = err
	}
	return err
}

// report writes the post-incident report from the record so far.
func (r *Response) report(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	written, err := r.Report(ctx)
	if err != nil {
		return hinted{err: fmt.Errorf("write the report: %w", err),
			hint: "the record is whole: make room and run clawback report " + filepath.Base(r.Dir)}
	}
	rec.Note(incident.TypeReport, written)
	return nil
}
