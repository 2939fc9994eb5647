package snapshots

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ownFiles leads to what this process holds open.
const ownFiles = "/proc/self/fd"

// deleted takes what a process still holds of files that have no name any more: its open files, and
// the program that it runs.
func (c *capture) deleted(ctx context.Context, pid string) error {
	proc := c.opts.Proc
	paths, err := awaitOn(ctx, c, c.systems.process(pid), func(t *trail) ([]string, error) {
		fds, _, err := t.names(proc, pid+"/fd", maxNames)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(fds, byNumber)
		var gone []string
		for _, name := range append([]string{"exe"}, fds...) {
			if name != "exe" {
				name = "fd/" + name
			}
			if to, err := proc.Readlink(pid + "/" + name); err == nil && strings.HasSuffix(to, " (deleted)") {
				gone = append(gone, name)
			}
		}
		return gone, nil
	})
	if err != nil { // the list of its links tells why, or it has ended
		return nil
	}
	for _, name := range paths {
		it := item{root: proc, path: pid + "/" + name, name: "volatile/processes/" + pid + "/" + name, source: "deleted", held: true}
		if _, err := c.take(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// hold takes what a link of /proc leads to, if that is a regular file. Such a link leads to the file
// itself and to no path.
func (r *reading) hold(dir int, name string) {
	to, err := linkIn(dir, name)
	if err != nil {
		r.fail("read its link", err)
		return
	}
	r.file.Target = to
	at, err := openIn(dir, name, pathFlags&^unix.O_NOFOLLOW) // for looking: a device or FIFO is not touched
	if err != nil {
		r.fail("look at it", err)
		return
	}
	defer unix.Close(at)
	r.trail.fixed = false // out of /proc
	if err := r.trail.step(at); err != nil {
		r.fail("look at it", err)
		return
	}
	before, err := fstat(at)
	if err != nil {
		r.fail("look at it", err)
		return
	}
	r.file.describe(before)
	switch {
	case !isType(before, unix.S_IFREG):
		r.send(message{stage: nothing})
	case before.Size > r.most:
		r.send(message{stage: tooLarge, file: r.file, size: min(before.Size, 512*int64(before.Blocks))})
	default:
		r.readHeld(at, before)
	}
}

// readHeld reads the file that was looked at, through our own link to it: what the process does with
// its own meanwhile is no matter.
func (r *reading) readHeld(at int, before unix.Stat_t) {
	own, err := openIn(unix.AT_FDCWD, ownFiles, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		r.fail("open it", err)
		return
	}
	defer unix.Close(own)
	fd, err := openFollowing(own, fmt.Sprint(at))
	if err != nil {
		r.fail("open it", err)
		return
	}
	defer unix.Close(fd)
	st, err := fstat(fd)
	if err != nil || !isType(st, unix.S_IFREG) || !sameFile(st, before) {
		r.file.note("another file was opened than was looked at: nothing was read")
		r.end(Replaced)
		return
	}
	if !r.measure(fd, before) {
		return
	}
	r.file.readXattrs(fd)
	if before.Nlink > 0 {
		r.file.note(fmt.Sprintf("the name it was opened by is gone, though %d others lead to it", before.Nlink))
	}
	if !r.send(message{stage: opened, file: r.file}) {
		return
	}
	r.hook("open")
	verdict := r.read(fd, before.Size)
	if verdict == "" { // nobody listens
		return
	}
	switch _, verdict = r.changed(fd, before, verdict); verdict {
	case Stable:
		verdict = DeletedOpen
	case Grew, Modified:
		r.file.note("it changed while it was read: " + verdict)
		verdict = DeletedOpen
	}
	r.end(verdict)
}
