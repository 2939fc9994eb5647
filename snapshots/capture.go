package snapshots

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Options bounds a capture. A bound of zero means its default.
type Options struct {
	MaxBytes     int64         // of content in all: 32 GiB
	MaxHoles     int64         // bytes of holes in all, which cost time and no place: 32 GiB
	MaxFileBytes int64         // of content of one file; a longer one is only listed: 8 GiB
	MaxFiles     int           // looked at, folders not counted: 200,000
	FileTimeout  time.Duration // that the host's file system may keep us waiting for one file: 10 s
	Deadline     time.Duration // for the whole capture: 10 min

	Processes []int    // the agent's: part "volatile" takes their state, "files" the program that they run
	Proc      *os.Root // the machine's /proc; nil where root is not that of a running system

	Told []Told // what others on the machine tell, for part "volatile"

	at func(point, path string) // tests change the file here
}

// Told is evidence that another program on the machine tells when it is asked, such as a container engine.
type Told struct {
	Name string // below volatile/: "containers/openclaw-gateway-0123456789ab/log"
	Read func(ctx context.Context) ([]byte, error)
}

// Defaults, and bounds that nobody needs to choose.
const (
	defaultBytes       = 32 << 30
	defaultFileBytes   = 8 << 30
	defaultFiles       = 200_000
	defaultFileTimeout = 10 * time.Second
	defaultDeadline    = 10 * time.Minute

	slowest    = 1 << 20  // bytes a second: a file that comes slower uses up its FileTimeout
	largeFile  = 64 << 20 // bytes: files above wait until all others are taken
	hollowFile = 1 << 20  // bytes: so do those with more of holes, which cost time alone
	maxReports = 1000     // entries of Captured.Left and of Captured.Problems
)

func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultBytes)
	o.MaxHoles = cmp.Or(o.MaxHoles, defaultBytes)
	o.MaxFileBytes = cmp.Or(o.MaxFileBytes, defaultFileBytes)
	o.MaxFiles = cmp.Or(o.MaxFiles, defaultFiles)
	o.FileTimeout = cmp.Or(o.FileTimeout, defaultFileTimeout)
	o.Deadline = cmp.Or(o.Deadline, defaultDeadline)
	return o
}

// ErrUnknownPart is returned for a part that no capture knows.
var ErrUnknownPart = errors.New("unknown part of a capture")

// Capture takes one part of the evidence below root into sink: "volatile" is the state of the
// processes, sockets and mounts of a running machine, "files" is what OpenClaw and its account
// left on disk, the most fleeting first. It follows no link, opens regular files only, and goes
// on past everything that cannot be read, which it reports in the file's verdict and in Captured.
//
// An error means that the capture ended early: sink refused (its error is wrapped), or ctx ended.
// What was captured until then is in sink and in Captured all the same. A reading that the
// host's file system never answers is left behind, and ends with the process.
func Capture(ctx context.Context, root *os.Root, part string, opts Options, sink Sink) (Captured, error) {
	take := (*capture).files
	switch part {
	case "files":
	case "volatile":
		take = (*capture).volatile
	default:
		return Captured{}, fmt.Errorf(`%w: there are "volatile" and "files", and no %q`, ErrUnknownPart, part)
	}
	c := &capture{root: root, opts: opts.withDefaults(), sink: sink, seen: map[string]bool{}, sets: map[string][]string{}, systems: &fileSystems{stuck: map[uint64]int{}}, pool: make(buffers, 4)}
	c.bytesLeft, c.holesLeft = c.opts.MaxBytes, c.opts.MaxHoles
	started := time.Now()
	c.until = started.Add(c.opts.Deadline)
	timed, cancel := context.WithDeadlineCause(ctx, c.until, errors.New("the time for the capture is up"))
	defer cancel()
	defer c.survey(timed)()
	err := take(c, timed)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("capture stopped: %w", context.Cause(ctx))
	}
	c.out.Took = time.Since(started)
	return c.out, err
}

// capture is one run of Capture.
type capture struct {
	root      *os.Root
	opts      Options
	sink      Sink
	out       Captured
	bytesLeft int64
	purse     *purse                        // of what is taken now, nil without
	sets      map[string][]string           // the files of a database, by its path
	holesLeft int64                         // bytes of holes, which cost no place but time
	looked    int                           // files handed to the sink, whatever became of them
	seen      map[string]bool               // paths already taken; after a NUL, what was reported
	share     *share                        // of the target that is taken now, nil without
	rests     []func(context.Context) error // what was beyond its target's share, in order
	large     []item                        // to be taken last
	until     time.Time                     // the deadline
	systems   *fileSystems
	pool      buffers
}

// item is one path to take.
type item struct {
	root   *os.Root
	path   string // below root, without links
	name   string // to record it under
	source string
	held   bool // what a process holds open, of which path is the link in /proc
	live   bool // made by the kernel while it is read
	whole  bool // whatever its size, up to MaxFileBytes
	purse  *purse
	set    *set // that it is the last file of
	all    *set // in place of a path: a set that was put off
}

// purse bounds what is taken of one kind, so that it leaves room for the others.
type purse struct{ limit, left int64 } // bytes

// survey learns which file systems are not to be entered. It returns what ends the capture.
func (c *capture) survey(ctx context.Context) (end func()) {
	mounted, end, err := watchMounts()
	if err == nil {
		c.systems.mounted = mounted
		c.systems.alone, err = readMounts()
	}
	if err != nil {
		end = func() {}
		c.problem("proc/self/mountinfo", "which file systems are on FUSE or a network cannot be told: "+err.Error())
	}
	root := c.root
	c.systems.top, err = await(ctx, c, func(*trail) (uint64, error) {
		top, err := root.OpenFile(".", openFlags|unix.O_DIRECTORY, 0)
		if err != nil {
			return 0, err
		}
		defer top.Close()
		return deviceOf(int(top.Fd()))
	})
	if err != nil {
		c.problem(".", err.Error())
	}
	return end
}

// over says why nothing more is taken, or nil.
func (c *capture) over(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case c.looked >= c.opts.MaxFiles:
		return fmt.Errorf("over the limit of %d files", c.opts.MaxFiles)
	}
	return nil
}

// take captures one path, and reports whether it is a folder. An error is the sink's.
func (c *capture) take(ctx context.Context, it item) (isFolder bool, err error) {
	if err := c.over(ctx); err != nil {
		return false, c.leave(File{Path: it.name, Source: it.source}, err.Error())
	}
	c.looked++
	file := File{Path: it.name, Source: it.source}
	r := &reading{
		root: it.root, trail: c.trailOf(it), path: it.path, file: file,
		most: c.opts.MaxFileBytes, limit: min(c.opts.MaxFileBytes, c.bytesLeft), hollow: c.holesLeft, held: it.held, live: it.live, set: it.set, at: c.opts.at,
		pool: c.pool, out: make(chan message, 1), quit: make(chan struct{}),
	}
	if c.purse = it.purse; it.purse != nil {
		r.limit = min(r.limit, it.purse.left)
	}
	if !it.whole {
		r.most, r.limit, r.hollow = min(r.most, largeFile), min(r.limit, largeFile), min(r.hollow, hollowFile)
	}
	defer close(r.quit)
	go r.run()
	m, err := c.receive(ctx, r, file)
	if err != nil {
		return false, err
	}
	switch m.stage {
	case folder:
		c.looked--
		return true, nil
	case tooLarge:
		return false, c.postpone(it, m)
	case nothing:
		c.looked--
	case alone:
		c.looked--
		return false, c.leave(m.file, m.why)
	}
	return false, nil
}

// twice reports whether a file that a process holds open was taken already: a process and its
// children hold the same ones.
func (c *capture) twice(f File) bool {
	id := fmt.Sprintf("\x00held %d %d", f.Device, f.Inode)
	before := c.seen[id]
	c.seen[id] = true
	return before
}

// last takes what was put off.
func (c *capture) last(ctx context.Context) error {
	for i := 0; i < len(c.large); i++ {
		if all := c.large[i].all; all != nil {
			if _, err := c.takeSet(ctx, c.large[i], all.paths); err != nil {
				return err
			}
			continue
		}
		if _, err := c.take(ctx, c.large[i]); err != nil {
			return err
		}
	}
	return nil
}

// trailOf is the trail on which an item is read.
func (c *capture) trailOf(it item) *trail {
	if it.live || it.held {
		if pid, _, deeper := strings.Cut(it.path, "/"); deeper {
			return c.systems.process(pid)
		}
	}
	return c.systems.trail()
}

// postpone puts a large file off, so that a decoy of zeros in a folder that anyone may write to
// does not use up the budget or the time before the rest is safe; or leaves it out.
func (c *capture) postpone(it item, m message) error {
	f := m.file
	switch {
	case f.Size > c.opts.MaxFileBytes:
		return c.leave(f, fmt.Sprintf("%d bytes, over the limit of %d for one file", f.Size, c.opts.MaxFileBytes))
	case m.size > c.bytesLeft:
		return c.leave(f, fmt.Sprintf("%d bytes, over the %d that are left of the limit of %d", m.size, c.bytesLeft, c.opts.MaxBytes))
	case it.purse != nil && m.size > it.purse.left:
		return c.leave(f, fmt.Sprintf("%d bytes, over the %d that are left of the limit of %d for its kind", m.size, it.purse.left, it.purse.limit))
	case m.holes > c.holesLeft:
		return c.leave(f, fmt.Sprintf("%d bytes of holes, over the %d that are left of the limit of %d", m.holes, c.holesLeft, c.opts.MaxHoles))
	}
	c.looked--
	it.whole = true
	c.large = append(c.large, it)
	return nil
}

func (c *capture) pour(f File, in *intake, data []byte) error {
	if err := in.write(data); err != nil {
		return fmt.Errorf("store %q: %w", f.Path, err)
	}
	c.bytesLeft -= int64(len(data))
	if c.purse != nil {
		c.purse.left -= int64(len(data))
	}
	return nil
}

func (c *capture) skip(f File, in *intake, n int64) error {
	if err := WriteHole(in.w, n); err != nil {
		return fmt.Errorf("store %q: %w", f.Path, err)
	}
	c.holesLeft -= n
	if in.shared {
		return nil
	}
	return WriteHole(in.sum, n)
}

// receive hands what a reading sends to the sink, until the reading ends or is given up. It
// returns the last message. An error is the sink's.
func (c *capture) receive(ctx context.Context, r *reading, file File) (message, error) {
	var in intake
	patience := c.opts.FileTimeout
	for {
		m, waited := c.next(ctx, r, file, patience)
		patience -= waited
		switch m.stage {
		case opened:
			file = m.file
			if r.held && c.twice(file) {
				return message{stage: nothing}, nil
			}
			size := file.Size
			if r.live { // it says 0
				size = math.MaxInt64
			}
			var err error
			if in, err = c.begin(file, size); err != nil {
				return m, err
			}
		case content:
			if err := c.pour(file, &in, m.data); err != nil {
				return m, err
			}
			patience = min(c.opts.FileTimeout, patience+time.Duration(len(m.data))*time.Second/slowest)
			c.pool.put(m.data)
		case hole:
			if err := c.skip(file, &in, m.size); err != nil {
				return m, err
			}
		case ended:
			return m, c.finish(m.file, in)
		default:
			return m, nil
		}
	}
}

// next waits for a reading's next message, and for no longer than patience. The time that the
// sink takes is not counted: a slow link to the desk is not the file's fault.
func (c *capture) next(ctx context.Context, r *reading, file File, patience time.Duration) (message, time.Duration) {
	m, waited, err := wait(ctx, c, r.out, r.trail, patience)
	switch {
	case err == nil:
		return m, waited
	case errors.Is(err, errStuck):
		file.note(fmt.Sprintf("the host's file system did not deliver it within %v", waited))
	default:
		file.note("stopped: " + err.Error())
	}
	file.Verdict = Timeout
	return message{stage: ended, file: file}, 0
}

// finish closes a file with what was really received of it.
func (c *capture) finish(f File, in intake) error {
	if in.w != nil {
		f.Bytes, f.SHA256 = in.sum.size, in.sum.String()
		f.Segments = in.sum.segments()
		c.out.Files++
		c.out.Bytes += f.Bytes
	}
	if f.Verdict == Failed || f.Verdict == Timeout {
		c.problem(f.Path, f.Problem)
	}
	if err := c.sink.End(f); err != nil {
		return fmt.Errorf("store %q: %w", f.Path, err)
	}
	return nil
}

// leave lists what is left out, and why.
func (c *capture) leave(f File, why string) error {
	if c.seen["\x00left "+f.Path] || len(c.out.Left) >= maxReports {
		return nil
	}
	c.seen["\x00left "+f.Path] = true
	if len(c.out.Left) == maxReports-1 {
		c.out.Left = append(c.out.Left, "and more: this list ends here")
		return nil
	}
	c.out.Left = append(c.out.Left, fmt.Sprintf("%q: %s", f.Path, why))
	f.Verdict = Listed
	f.note("left out: " + why)
	if err := c.sink.End(f); err != nil {
		return fmt.Errorf("store %q: %w", f.Path, err)
	}
	return nil
}

// problem records what could not be read, once.
func (c *capture) problem(path, why string) {
	text := fmt.Sprintf("%q: %s", path, why)
	if c.seen["\x00"+text] || len(c.out.Problems) >= maxReports {
		return
	}
	c.seen["\x00"+text] = true
	if len(c.out.Problems) == maxReports-1 {
		text = "and more: this list ends here"
	}
	c.out.Problems = append(c.out.Problems, text)
}

// errStuck means that the host's file system did not answer in time.
var errStuck = errors.New("the host's file system did not answer in time")

// await runs a call into the host's file system that may never return. Such a call is left
// behind: do must not touch what its caller uses.
func await[T any](ctx context.Context, c *capture, do func(*trail) (T, error)) (T, error) {
	return awaitOn(ctx, c, c.systems.trail(), do)
}

func awaitOn[T any](ctx context.Context, c *capture, t *trail, do func(*trail) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do(t)
		done <- result{value, err}
	}()
	r, _, err := wait(ctx, c, done, t, c.opts.FileTimeout)
	if err != nil {
		return r.value, err
	}
	return r.value, r.err
}

// wait receives from a goroutine on trail t, and returns errStuck when that takes longer than
// patience, or than its file system deserves, and the time that was waited.
func wait[T any](ctx context.Context, c *capture, from <-chan T, t *trail, patience time.Duration) (T, time.Duration, error) {
	started := time.Now()
	timer := time.NewTimer(c.opts.FileTimeout)
	defer timer.Stop()
	var none T
	for {
		at := t.at.Load()
		waited := time.Since(started)
		left := min(patience, c.systems.patience(at, c.opts.FileTimeout)) - waited
		if left <= 0 {
			c.systems.left(at)
			return none, waited, errStuck
		}
		timer.Reset(min(left, c.opts.FileTimeout/16)) // it may have come to another file system by then
		select {
		case value := <-from:
			return value, time.Since(started), nil
		case <-ctx.Done():
			return none, 0, context.Cause(ctx)
		case <-timer.C:
		}
	}
}
