package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
	"clawback/forensics/journal/witness"
)

// witnessOf prepares the witness of an incident; nil when none is configured.
func (a *app) witnessOf(dir, id string, length uint64) (*witness.Witness, error) {
	var sinks []witness.Named
	for _, c := range a.config.Witness {
		sinks = append(sinks, witness.Named{Name: c.Name, Sink: &unready{config: c, env: a.env}})
	}
	if len(sinks) == 0 {
		return nil, nil
	}
	return witness.New(ownDisk, dir, id, length, sinks, witness.Timing{})
}

// lastFlush bounds how long the end of a run waits for sinks.
const lastFlush = 5 * time.Second

// witnessing is the witness of a response while it runs. A nil one does nothing.
type witnessing struct {
	witness     *witness.Witness
	journal     *journal.Journal
	checkpoints chan witness.Checkpoint
	ctx         context.Context
	stop        context.CancelFunc
	ran         chan struct{}
	asked       atomic.Bool // for everything at once, before the report
}

// attest starts to send the record of a response to the configured sinks. What is practised or
// only shown is sent to nobody.
func (r *response) attest(ctx context.Context) *witnessing {
	if len(r.app.config.Witness) == 0 {
		return nil
	}
	if r.declared.Mode != incident.Real || r.declared.DryRun {
		fmt.Fprintf(r.app.err, "clawback: this is a %s: nothing of it is sent to the witnesses of the configuration\n", kindOf(r.declared))
		return nil
	}
	w, err := r.app.witnessOf(r.open.dir, r.declared.Incident, r.open.journal.Length())
	if err != nil {
		complain(r.app.err, err)
		return nil
	}
	s := &witnessing{witness: w, journal: r.open.journal, checkpoints: make(chan witness.Checkpoint), ran: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(ctx)
	w.Told = func(h witness.Held) {
		if !s.asked.Load() { // nothing comes behind the end
			_ = s.journal.Note(incident.TypeWitness, held(h))
		}
	}
	go func() {
		defer close(s.ran)
		w.Run(s.ctx, func() witness.Cursor { return s.journal.DurableCursor() }, s.checkpoints)
	}()
	return s
}

func kindOf(d incident.Declared) string {
	if d.DryRun {
		return "dry run"
	}
	return "drill"
}

// checkpoint passes on a new checkpoint of the record.
func (s *witnessing) checkpoint(c tree.Checkpoint) {
	if s == nil {
		return
	}
	select {
	case s.checkpoints <- witness.Checkpoint{Note: c.Note, Size: c.Size}:
	case <-s.ctx.Done():
	}
}

// noMore says that no checkpoint comes any more.
func (s *witnessing) noMore() {
	if s != nil {
		close(s.checkpoints)
	}
}

// record puts on record up to where each sink was given it. The first time it asks the sinks for
// all that there is, and gives them a moment.
func (s *witnessing) record(ctx context.Context) {
	if s == nil {
		return
	}
	if s.asked.CompareAndSwap(false, true) {
		ctx, cancel := context.WithTimeout(ctx, lastFlush)
		s.witness.Flush(ctx, s.journal.Length())
		cancel()
	}
	for _, h := range s.witness.Held() {
		_ = s.journal.Note(incident.TypeWitness, held(h))
	}
}

// held is what the record says of a sink.
func held(h witness.Held) incident.WitnessHeld {
	return incident.WitnessHeld{Sink: h.Sink, Kind: h.Kind, Entries: h.Entries, Checkpoint: h.Checkpoint, Error: h.Error}
}

// finish gives the sinks a moment for the end of a record that is closed, and says how far each is.
func (s *witnessing) finish(a *app, id string) {
	if s == nil {
		return
	}
	late := time.AfterFunc(lastFlush, s.stop)
	<-s.ran
	late.Stop()
	s.stop()
	if !a.showHeld(s.witness, s.journal.Length()) {
		fmt.Fprintf(a.err, "hint: once they answer, clawback witness %s sends what they miss\n", id)
	}
}

// showHeld says how far each sink is, and returns whether all of them have everything.
func (a *app) showHeld(w *witness.Witness, length uint64) (all bool) {
	all = true
	text := newTextPrinter(a.err, a.env)
	for _, h := range w.Held() {
		line := fmt.Sprintf("%s %s entries 1 to %d of %d, checkpoint over %d", h.Sink, incident.WitnessWord(h.Kind), h.Entries, length, h.Checkpoint)
		if h.Error != "" {
			line += ": " + incident.Safe(h.Error)
		}
		text.event(time.Time{}, "witness", line)
		all = all && h.Entries >= length
	}
	return all
}

func (a *app) witnessCommand() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use: "witness [INCIDENT]", Short: "Send what the witnesses miss of a record that nobody writes any more, and say how far each is", Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.catchUp(c.Context(), strings.Join(args, ""), wait)
		},
	}
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to try")
	return c
}

// catchUp sends the rest of a record to the sinks.
func (a *app) catchUp(ctx context.Context, id string, wait time.Duration) error {
	if len(a.config.Witness) == 0 {
		return usage("clawback help config shows how", "the configuration names no witness")
	}
	dir, err := a.find(id)
	if err != nil {
		return err
	}
	s, err := incident.FoldAll(journal.Read(dir))
	if err != nil {
		return &failure{incident.ExitPartial, err, "a record that is damaged is not sent on"}
	}
	if s.Declared.Mode != incident.Real || s.Declared.DryRun {
		return usage("it goes for real incidents alone", "%s is a %s, which is sent to nobody", s.Declared.Incident, kindOf(s.Declared))
	}
	lock, err := journal.Lock(filepath.Join(dir, journal.LockName), a.holder())
	if err != nil {
		return err // whoever writes it sends it
	}
	defer func() { _ = lock.Close() }()
	w, err := a.witnessOf(dir, s.Declared.Incident, s.Entries)
	if err != nil {
		return err
	}
	checkpoints := make(chan witness.Checkpoint, 1)
	if c, err := tree.ReadCheckpoint(dir, s.Declared.CheckpointKey); err == nil {
		checkpoints <- witness.Checkpoint{Note: c.Note, Size: c.Size}
	} else if s.Declared.CheckpointKey != "" {
		complain(a.err, fmt.Errorf("its checkpoint: %w", err))
	}
	close(checkpoints)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	w.Run(ctx, func() witness.Cursor { return readCursor(dir) }, checkpoints)
	if !a.showHeld(w, s.Entries) {
		return &failure{incident.ExitPartial, errors.New("not every witness has all of the record"), "run it again once they answer"}
	}
	return nil
}

// closedRecord is a cursor over a record that nobody writes any more.
type closedRecord struct {
	next func() (journal.Entry, error, bool)
	stop func()
}

func readCursor(dir string) witness.Cursor {
	next, stop := iter.Pull2(journal.Read(dir))
	return closedRecord{next, stop}
}

func (c closedRecord) Next(context.Context) (journal.Entry, error) {
	e, err, ok := c.next()
	if !ok {
		return e, io.EOF
	}
	return e, err
}

func (c closedRecord) Close() error {
	c.stop()
	return nil
}

// maxCheckpoints bounds the checkpoints of a copy that are looked at: the newest.
const maxCheckpoints = 1000

// besides adds the checkpoints that a witness keeps beside its copy of a record.
func (c *compared) besides(dir string) error {
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	type kept struct {
		size uint64
		path string
	}
	var all []kept
	for _, e := range there {
		digits, ok := strings.CutPrefix(e.Name(), "checkpoint-")
		if size, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			all = append(all, kept{size, filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Compare(b.size, a.size) })
	for _, k := range all[:min(len(all), maxCheckpoints)] {
		c.checkpoints = append(c.checkpoints, k.path)
	}
	return nil
}
