package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
	"clawback/forensics/report"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// response is one run of a playbook, however it was started.
type response struct {
	app       *app
	open      *open
	work      *actions.Response
	engine    *engine.Engine
	declared  incident.Declared
	json      bool
	console   bool
	beside    []func(context.Context) // run until the response ends
	declareAt func()                  // at the moment of the declaration; nil for none
	score     func() incident.Adversary
	// instead is what is done with the record instead of carrying the response out; nil for that.
	instead func(context.Context) (incident.State, error)

	signer  *tree.Signer // of the record's checkpoints; nil where it has none
	warned  bool         // that something is not sealed
	sealed  tree.Checkpoint
	sealErr error // why the end is not sealed
	failed  error // what of the response could not be kept or shown
	faults  faults

	witnesses *witnessing // nil for none
}

// alone does one thing in place of the playbook. Its exit code says what came of that, not how the
// response stands; hint is what to do where it failed.
func (r *response) alone(ctx context.Context, hint string, do func(context.Context) (incident.State, error)) error {
	var failed error
	r.instead = func(ctx context.Context) (s incident.State, err error) {
		s, failed = do(ctx)
		return s, nil
	}
	err := r.run(ctx)
	switch {
	case failed != nil:
		return &failure{incident.ExitPartial, failed, hint}
	case r.failed != nil || r.sealErr != nil:
		return err
	}
	return nil
}

// run carries the response out and shows it, and returns its exit code as an error.
func (r *response) run(ctx context.Context) error {
	ctx, stop, heard := r.interruptible(ctx)
	defer stop()
	if r.declared.Mode == incident.Real { // a drill's world is made up
		r.work.Inventory, r.work.ReadInventory = r.app.inventory(), r.app.readInventory
	}
	r.engine.Interrupt = func(string) { stop() }
	r.engine.Target = r.declared.Target
	if r.open.trouble != nil {
		complain(r.app.err, &failure{err: r.open.trouble, hint: "the response goes on; the record is in " + r.place()})
		_ = r.open.journal.Note(incident.TypeWarning, incident.Warning{Text: r.open.trouble.Error(), Hint: "the record is in " + r.place(), Grave: true})
	}
	r.work.Report = func(ctx context.Context) (incident.Report, error) {
		s, err := incident.FoldAll(r.open.journal.Entries(ctx))
		if err != nil {
			return incident.Report{}, err
		}
		if r.open.dir == "" {
			return incident.Report{}, errors.New("there is no folder for it")
		}
		if s.Exit == nil { // after the end there is no entry
			r.witnesses.record(ctx)
			if s, err = incident.FoldAll(r.open.journal.Entries(ctx)); err != nil {
				return incident.Report{}, err
			}
		}
		return report.WriteOn(ownDisk, r.open.dir, s, r.open.journal.Entries(ctx))
	}

	r.witnesses = r.attest(context.WithoutCancel(ctx))
	var others sync.WaitGroup
	sealing := make(chan struct{})
	others.Go(func() {
		_ = r.guarded("what shows it", func() error { r.show(context.WithoutCancel(ctx), sealing); return nil })
	})
	others.Go(func() {
		defer close(sealing)
		defer r.witnesses.noMore()
		_ = r.guarded("its seal", func() error { r.seal(context.WithoutCancel(ctx)); return nil })
	})
	othersCtx, endOthers := context.WithCancel(ctx)
	for _, do := range r.beside {
		others.Go(func() { _ = r.guarded("what goes on beside it", func() error { do(othersCtx); return nil }) })
	}
	if r.declareAt != nil {
		r.declareAt()
	}
	var state incident.State
	var err error
	if r.console {
		state, err = r.inConsole(ctx, stop, heard)
	} else {
		state, err = r.carryGuarded(ctx)
	}
	endOthers()
	closeErr := r.open.close()
	others.Wait()
	r.witnesses.finish(r.app, r.declared.Incident)
	switch err = errors.Join(err, closeErr, r.faults.all()); {
	case errors.Is(err, journal.ErrNotDurable):
		r.rescue(context.WithoutCancel(ctx), err)
	case err != nil:
		complain(r.app.err, err)
	}
	r.failed = err
	return r.end(state)
}

// carryGuarded is carry, except that a fault of its own ends it and nothing else. The record is not
// closed then, so that the incident can be resumed.
func (r *response) carryGuarded(ctx context.Context) (state incident.State, err error) {
	fault := r.guarded("the response", func() error { state, err = r.carry(ctx); return nil })
	if fault != nil {
		state, _ = incident.FoldAll(r.open.journal.Entries(context.WithoutCancel(ctx)))
		err = nil // it is among the faults
	}
	return state, err
}

func (r *response) carry(ctx context.Context) (incident.State, error) {
	during("carry")
	if r.instead != nil {
		return r.instead(ctx)
	}
	r.work.Score = r.score
	return r.work.Carry(ctx, r.engine, r.declared)
}

// show prints the record as it grows: entries on stdout with --json, progress on stderr. How it
// ended comes once it is sealed.
func (r *response) show(ctx context.Context, sealing <-chan struct{}) {
	var printers []printer
	if r.json {
		printers = append(printers, newJSONPrinter(r.app.out))
	}
	if !r.console {
		printers = append(printers, newTextPrinter(r.app.err, r.app.env))
	}
	var s incident.State
	cursor := r.open.journal.Cursor()
	for {
		e, err := cursor.Next(ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				complain(r.app.err, err)
			}
			break
		}
		during("show")
		s = incident.Fold(s, e)
		for _, p := range printers {
			p.entry(s, e)
		}
	}
	<-sealing
	r.showSeal()
	sum := s.Summarize(r.reportPath(s))
	for _, p := range printers {
		p.summary(sum)
	}
	if r.console {
		fmt.Fprintf(r.app.err, "%s %s: exit %d. Report: %s\n", s.Declared.Mode, s.Declared.Incident, sum.Exit, sum.Report)
	}
}

// rescue keeps a record that its disk did not take, and the report, in a temporary folder.
func (r *response) rescue(ctx context.Context, lost error) {
	dir, err := os.MkdirTemp("", "clawback-"+r.declared.Incident+"-")
	var lines [][]byte
	for e, broken := range r.open.journal.Entries(ctx) {
		if broken != nil {
			lost = errors.Join(lost, broken)
			break
		}
		lines = append(lines, e.Line())
		if err == nil {
			lost = errors.Join(lost, e.CopyPayload(dir))
		}
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, journal.FileName), append(bytes.Join(lines, []byte("\n")), '\n'), 0o600)
	}
	if err != nil {
		complain(r.app.err, &failure{err: errors.Join(lost, err), hint: "what was printed here is all there is of it: keep it"})
		return
	}
	lost = errors.Join(lost, r.sealCopy(dir, lines))
	s, err := incident.FoldAll(journal.Read(dir))
	if err == nil {
		_, err = report.Write(dir, s, journal.Read(dir))
	}
	complain(r.app.err, &failure{err: errors.Join(lost, err), hint: "the whole record is in " + dir + ": move it to a disk with room"})
}

func (r *response) reportPath(s incident.State) string {
	if s.Report == nil {
		return ""
	}
	return s.Report.Markdown
}

func (r *response) place() string {
	if r.open.dir == "" {
		return "memory only"
	}
	return r.open.dir
}

func (r *response) end(s incident.State) error {
	code := s.ExitCode()
	if code == incident.ExitContained && (r.sealErr != nil || r.failed != nil) {
		code = incident.ExitPartial
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// playbook loads a playbook, by its name or its file; a deadline goes to the steps that revoke.
func (a *app) playbook(name string, deadline time.Duration) (playbooks.Playbook, error) {
	book, err := loadPlaybook(name)
	if err != nil {
		return book, err
	}
	giveDeadline(book, deadline)
	return book, nil
}

// giveDeadline gives the steps that revoke another deadline, if there is one.
func giveDeadline(book playbooks.Playbook, deadline time.Duration) {
	for _, phase := range book.Phases {
		for i := range phase.Steps {
			if phase.Steps[i].Uses == "credentials.revoke" && deadline > 0 {
				phase.Steps[i].Deadline = deadline
			}
		}
	}
}

// fingerprintKey makes the incident's key and keeps it in its folder.
func (o *open) fingerprintKey() credential.FingerprintKey {
	key := credential.NewFingerprintKey()
	if o.dir != "" {
		dir := filepath.Join(o.dir, "keys")
		err := disk.MkdirAll(ownDisk, dir, 0o700)
		if err == nil {
			err = disk.Replace(ownDisk, filepath.Join(dir, "fingerprint"), key.Bytes(), 0o600)
		}
		if err != nil {
			_ = o.journal.Note(incident.TypeWarning, incident.Warning{Text: "the key of the fingerprints was not kept: " + err.Error(),
				Hint: "the same credential cannot be recognised in a later run of this incident"})
		}
	}
	return key
}
