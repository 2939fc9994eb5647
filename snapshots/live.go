package snapshots

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxLive bounds one file that the kernel makes up.
const maxLive = 64 << 20

// What the kernel tells of the network, of a process and of the machine.
var (
	netFiles = []string{
		"route", "ipv6_route", "arp", "tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix", "packet", "netlink", "dev", "if_inet6",
	}
	processFiles = []string{"stat", "status", "cmdline", "environ", "maps", "cgroup", "limits", "mountinfo"}
	processLinks = []string{"exe", "cwd", "root", "ns/mnt", "ns/net", "ns/pid", "ns/user"}
	machineFiles = []string{"uptime", "modules", "version", "sys/kernel/random/boot_id"}
)

// volatile takes the state of the running machine, in the order of RFC 3227: network, processes,
// mounts and the rest.
func (c *capture) volatile(ctx context.Context) error {
	if c.opts.Proc == nil {
		c.problem("proc", "not the root of a running system: it has no volatile state")
		return nil
	}
	proc := c.opts.Proc
	self, err := await(ctx, c, func() (string, error) { return proc.Readlink("self") })
	if err != nil {
		c.problem("proc/self", err.Error())
		self = strconv.Itoa(1)
	}
	seen := map[string]bool{} // network namespaces
	if err := c.network(ctx, self, "volatile/net", seen); err != nil {
		return err
	}
	if err := c.processTable(ctx); err != nil {
		return err
	}
	for _, pid := range c.opts.Processes {
		if err := c.process(ctx, strconv.Itoa(pid), seen); err != nil {
			return err
		}
	}
	if err := c.live(ctx, self+"/mountinfo", "volatile/mounts"); err != nil {
		return err
	}
	for _, file := range machineFiles {
		if err := c.live(ctx, file, "volatile/"+path.Base(file)); err != nil {
			return err
		}
	}
	return nil
}

// live takes one file of /proc.
func (c *capture) live(ctx context.Context, from, name string) error {
	_, err := c.take(ctx, item{root: c.opts.Proc, path: from, name: name, source: "volatile", live: true})
	return err
}

// network takes the sockets and routes of a process's network namespace, once for each.
func (c *capture) network(ctx context.Context, pid, name string, seen map[string]bool) error {
	proc := c.opts.Proc
	ns, err := await(ctx, c, func() (string, error) { return proc.Readlink(pid + "/ns/net") })
	if err == nil && seen[ns] {
		return nil
	}
	seen[ns] = true
	names, _ := await(ctx, c, func() ([]string, error) {
		names, _, err := namesIn(proc, pid+"/net", maxNames)
		return names, err
	})
	for _, file := range netFiles {
		if !slices.Contains(names, file) { // a kernel without it, or a process that is gone
			continue
		}
		if err := c.live(ctx, pid+"/net/"+file, name+"/"+file); err != nil {
			return err
		}
	}
	return nil
}

// process takes all of one process.
func (c *capture) process(ctx context.Context, pid string, seen map[string]bool) error {
	to := "volatile/processes/" + pid
	if err := c.network(ctx, pid, to+"/net", seen); err != nil {
		return err
	}
	for _, file := range processFiles {
		if err := c.live(ctx, pid+"/"+file, to+"/"+file); err != nil {
			return err
		}
	}
	return c.made(ctx, to+"/links", func() ([]byte, error) { return links(c.opts, pid) })
}

// links tells where a process's links lead: its executable, folders, namespaces and open files.
func links(opts Options, pid string) ([]byte, error) {
	var out bytes.Buffer
	for _, name := range processLinks {
		if target, err := opts.Proc.Readlink(pid + "/" + name); err == nil {
			fmt.Fprintf(&out, "%s -> %q\n", name, target)
		}
	}
	fds, more, err := namesIn(opts.Proc, pid+"/fd", maxNames)
	if err != nil {
		return out.Bytes(), err
	}
	slices.SortFunc(fds, byNumber)
	dir, err := enter(opts.Proc, pid+"/fd")
	if err != nil {
		return out.Bytes(), err
	}
	defer unix.Close(dir)
	for _, fd := range fds {
		if target, err := linkIn(dir, fd); err == nil {
			fmt.Fprintf(&out, "fd/%s -> %q\n", fd, target)
		}
	}
	if more {
		return out.Bytes(), fmt.Errorf("more than %d open files", maxNames)
	}
	return out.Bytes(), nil
}

// processTable takes one line for each process of the machine: its stat and its command line.
func (c *capture) processTable(ctx context.Context) error {
	proc := c.opts.Proc
	return c.made(ctx, "volatile/processes/table", func() ([]byte, error) {
		pids, _, err := namesIn(proc, ".", maxNames)
		pids = slices.DeleteFunc(pids, func(p string) bool { _, err := strconv.Atoi(p); return err != nil })
		slices.SortFunc(pids, byNumber)
		var out bytes.Buffer
		for _, pid := range pids {
			stat, err := briefly(c.opts, pid, "stat")
			if err != nil {
				continue // it ended
			}
			cmdline, _ := briefly(c.opts, pid, "cmdline")
			fmt.Fprintf(&out, "%q %q\n", bytes.TrimSpace(stat), cmdline)
			if out.Len() > maxLive {
				return out.Bytes(), fmt.Errorf("more than %d bytes", maxLive)
			}
		}
		return out.Bytes(), err
	})
}

func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x - y
}

// briefly reads the beginning of a file of a process.
func briefly(opts Options, pid, name string) ([]byte, error) {
	dir, err := enter(opts.Proc, pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	fd, err := openFile(dir, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := readFrom(fd, buf)
	return buf[:n], err
}

// made takes a file that we write ourselves of what the kernel tells.
func (c *capture) made(ctx context.Context, name string, content func() ([]byte, error)) error {
	f := File{Path: name, Source: "volatile"}
	if err := c.over(ctx); err != nil {
		return c.leave(f, err.Error())
	}
	c.looked++
	type result struct {
		data []byte
		err  error
	}
	r, err := await(ctx, c, func() (result, error) {
		data, err := content()
		return result{data, err}, nil
	})
	f.Verdict = Stable
	if err != nil {
		f.Verdict = Timeout
		f.note(err.Error())
	} else if r.err != nil {
		f.Verdict = Failed
		f.note(r.err.Error())
	}
	if len(r.data) == 0 {
		return c.finish(f, intake{})
	}
	in, err := c.begin(f)
	if err != nil {
		return err
	}
	if err := c.pour(f, &in, r.data); err != nil {
		return err
	}
	return c.finish(f, in)
}
