package snapshots

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxLive bounds one file that the kernel makes up.
const maxLive = 64 << 20

// What the kernel tells of the network, of a process and of the machine.
var (
	netFiles = []string{
		"route", "ipv6_route", "arp", "tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix", "packet", "netlink", "dev", "if_inet6", "fib_trie",
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
	self, err := awaitOn(ctx, c, c.systems.process("self"), func(*trail) (string, error) { return proc.Readlink("self") })
	if err != nil {
		c.problem("proc/self", err.Error())
		self = strconv.Itoa(1)
	}
	seen := map[string]bool{} // network namespaces
	for _, class := range []struct {
		name  string
		limit time.Duration
		take  func(context.Context) error
	}{
		{"the machine's network", 30 * time.Second, func(ctx context.Context) error { return c.machineNetwork(ctx, self, seen) }},
		{"the table of processes", 30 * time.Second, c.processTable},
		{"the agent's processes", 2 * time.Minute, func(ctx context.Context) error {
			return c.eachProcess(func(pid string) error { return c.process(ctx, pid, seen) })
		}},
		{"what others tell", time.Minute, c.told},
		{"mounts and kernel", 30 * time.Second, func(ctx context.Context) error { return c.machine(ctx, self) }},
		{"deleted files that are open", 3 * time.Minute, func(ctx context.Context) error {
			return c.eachProcess(func(pid string) error { return c.deleted(ctx, pid) })
		}},
	} {
		if err := within(ctx, class.name, class.limit, class.take); err != nil {
			return err
		}
	}
	return c.last(ctx)
}

// machineNetwork takes the network of the namespace that we are in, and the rules of the machine.
func (c *capture) machineNetwork(ctx context.Context, self string, seen map[string]bool) error {
	if err := c.network(ctx, self, "volatile/net", seen); err != nil {
		return err
	}
	if c.root.Name() != "/" { // not the machine's own
		return nil
	}
	if err := c.made(ctx, "volatile/net/rules", c.systems.trail(), routingRules); err != nil {
		return err
	}
	return c.made(ctx, "volatile/net/ruleset", c.systems.trail(), ruleset)
}

func (c *capture) eachProcess(take func(pid string) error) error {
	for _, pid := range c.opts.Processes {
		if err := take(strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

func (c *capture) told(ctx context.Context) error {
	for _, told := range c.opts.Told {
		tell := func(*trail) ([]byte, error) { return told.Read(ctx) }
		if err := c.made(ctx, "volatile/"+told.Name, c.systems.others(), tell); err != nil {
			return err
		}
	}
	return nil
}

// machine takes what is mounted, which kernel runs and with which modules.
func (c *capture) machine(ctx context.Context, self string) error {
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
	ns, err := awaitOn(ctx, c, c.systems.process(pid), func(*trail) (string, error) { return proc.Readlink(pid + "/ns/net") })
	if err == nil && seen[ns] {
		return nil
	}
	seen[ns] = true
	names, _ := awaitOn(ctx, c, c.systems.process(pid), func(t *trail) ([]string, error) {
		names, _, err := t.names(proc, pid+"/net", maxNames)
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
	return c.made(ctx, to+"/links", c.systems.process(pid), func(t *trail) ([]byte, error) { return links(t, c.opts, pid) })
}

// links tells where a process's links lead: its executable, folders, namespaces and open files.
func links(t *trail, opts Options, pid string) ([]byte, error) {
	var out bytes.Buffer
	for _, name := range processLinks {
		if target, err := opts.Proc.Readlink(pid + "/" + name); err == nil {
			fmt.Fprintf(&out, "%s -> %q\n", name, target)
		}
	}
	fds, more, err := t.names(opts.Proc, pid+"/fd", maxNames)
	if err != nil {
		return out.Bytes(), err
	}
	slices.SortFunc(fds, byNumber)
	dir, err := t.enter(opts.Proc, pid+"/fd")
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
	f := File{Path: "volatile/processes/table", Source: "volatile"}
	if err := c.over(ctx); err != nil {
		return c.leave(f, err.Error())
	}
	c.looked++
	proc := c.opts.Proc
	pids, err := await(ctx, c, func(t *trail) ([]string, error) {
		names, _, err := t.names(proc, ".", maxNames)
		return names, err
	})
	pids = slices.DeleteFunc(pids, func(p string) bool { _, err := strconv.Atoi(p); return err != nil })
	slices.SortFunc(pids, byNumber)
	var out bytes.Buffer
	for _, pid := range pids {
		line, stuck := awaitOn(ctx, c, c.systems.process(pid), func(t *trail) ([]byte, error) { return brief(t, c.opts, pid) })
		if stuck != nil {
			line = fmt.Appendf(nil, "%q: %v\n", pid, stuck)
			err = cmp.Or(err, fmt.Errorf("process %s: %w", pid, stuck))
		}
		if out.Write(line); out.Len() > maxLive {
			err = fmt.Errorf("more than %d bytes", maxLive)
			break
		}
	}
	return c.store(ctx, f, out.Bytes(), err)
}

// brief is the line of one process, empty when it has ended.
func brief(t *trail, opts Options, pid string) ([]byte, error) {
	stat, err := briefly(t, opts, pid, "stat")
	if err != nil {
		return nil, nil
	}
	if opts.at != nil {
		opts.at("brief", pid)
	}
	cmdline, _ := briefly(t, opts, pid, "cmdline")
	return fmt.Appendf(nil, "%q %q\n", bytes.TrimSpace(stat), cmdline), nil
}

func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x - y
}

// briefly reads the beginning of a file of a process.
func briefly(t *trail, opts Options, pid, name string) ([]byte, error) {
	dir, err := t.enter(opts.Proc, pid)
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

// made takes a file that we write ourselves of what the kernel tells on trail t.
func (c *capture) made(ctx context.Context, name string, t *trail, content func(*trail) ([]byte, error)) error {
	f := File{Path: name, Source: "volatile"}
	if err := c.over(ctx); err != nil {
		return c.leave(f, err.Error())
	}
	c.looked++
	type result struct {
		data []byte
		err  error
	}
	r, err := awaitOn(ctx, c, t, func(t *trail) (result, error) {
		data, err := content(t)
		return result{data, err}, nil
	})
	return c.store(ctx, f, r.data, cmp.Or(err, r.err))
}

// store takes a file whose content is there, as far as err let it come.
func (c *capture) store(ctx context.Context, f File, data []byte, err error) error {
	f.Verdict = Stable
	if err != nil {
		f.Verdict = Failed
		f.note(err.Error())
	}
	if errors.Is(err, errStuck) || ctx.Err() != nil {
		f.Verdict = Timeout
	}
	if len(data) == 0 {
		return c.finish(f, intake{})
	}
	in, err := c.begin(f, int64(len(data)))
	if err != nil {
		return err
	}
	if err := c.pour(f, &in, data); err != nil {
		return err
	}
	return c.finish(f, in)
}
