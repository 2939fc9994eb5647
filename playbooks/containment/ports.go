package containment

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// agentPorts are what a gateway listens on: gateway, bridge, browser control, canvas.
// https://docs.openclaw.ai/gateway
var agentPorts = []int{18789, 18790, 18791, 18793}

// checkPorts reads the tables of listening sockets, only where they are those of the agent's machine.
func (v *visit) checkPorts(c *Checked) {
	if !v.whole() {
		return
	}
	sockets, err := listening()
	v.problem(err)
	who := map[string]string{}
	for _, s := range sockets {
		port := int(s.Local.Port())
		if !slices.Contains(v.traits.Ports, port) || slices.Contains(c.Listening, port) {
			continue
		}
		c.Listening = append(c.Listening, port)
		if len(who) == 0 {
			who = socketHolders()
		}
		v.problems = append(v.problems, fmt.Sprintf("port %d: %s listens on it", port, cmp.Or(who[s.inode], "a process that cannot be told")))
	}
	slices.Sort(c.Listening)
	if err == nil && len(c.Listening) == 0 {
		text := "/proc/net/tcp: nothing listens on the agent's ports"
		if len(v.Ports) > 0 {
			text += fmt.Sprintf(", nor on those that it had open: %v", v.Ports)
		}
		c.Proof = append(c.Proof, text)
	}
}

// keepPorts notes on which ports the agent's processes listen: none of them may be open once it is down.
func (v *visit) keepPorts(found []Process) {
	if !v.whole() || len(found) == 0 {
		return
	}
	sockets, err := listening()
	v.problem(err)
	if len(sockets) == 0 {
		return
	}
	held := map[string]bool{}
	for _, p := range found {
		socketsOf(p.PID, held)
	}
	before := len(v.Ports)
	for _, s := range sockets {
		if port := int(s.Local.Port()); held[s.inode] && !slices.Contains(v.Ports, port) && len(v.Ports) < maxPorts {
			v.Ports = append(v.Ports, port)
		}
	}
	if len(v.Ports) > before {
		slices.Sort(v.Ports)
		v.traits.Ports = slices.Concat(agentPorts, v.Ports)
		v.problem(v.save())
	}
}

// maxPorts bounds how many ports of the agent are kept in mind.
const maxPorts = 1000

// listening are the sockets of TCP on which this network listens.
func listening() (all []socket, err error) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := readBounded(table, 64<<20)
		if errors.Is(err, fs.ErrNotExist) && table != "/proc/net/tcp" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return all, fmt.Errorf("listening ports: %w", err)
		}
		all = append(all, slices.DeleteFunc(parseSockets(string(data)), func(s socket) bool { return !s.listens })...)
	}
	return all, nil
}

// socketHolders tells, by its inode, a process that holds a socket.
func socketHolders() map[string]string {
	who := map[string]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		held := map[string]bool{}
		socketsOf(pid, held)
		for inode := range held {
			if who[inode] == "" {
				name, _, _ := nameAndParent(pid)
				who[inode] = fmt.Sprintf("process %d (%s)", pid, name)
			}
		}
	}
	return who
}

// socketsOf adds the inodes of a process's open sockets.
func socketsOf(pid int, to map[string]bool) {
	dir, err := os.Open(procPath(pid, "fd"))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxOpenFiles)
	for _, name := range names {
		if link, err := os.Readlink(dir.Name() + "/" + name); err == nil && strings.HasPrefix(link, "socket:[") {
			to[strings.Trim(link, "socket:[]")] = true
		}
	}
}

type socket struct {
	Connection
	listens, established bool
	inode                string
}

// parseSockets reads the format of /proc/net/tcp and tcp6. Lines that it does not understand are left out.
func parseSockets(table string) []socket {
	var out []socket
	for line := range strings.Lines(table) {
		field := strings.Fields(line)
		if len(field) < 4 {
			continue
		}
		local, err1 := parseEndpoint(field[1])
		remote, err2 := parseEndpoint(field[2])
		if err1 != nil || err2 != nil {
			continue
		}
		s := socket{Connection{local, remote}, field[3] == "0A", field[3] == "01", ""}
		if len(field) > 9 {
			s.inode = field[9]
		}
		out = append(out, s)
	}
	return out
}

// parseEndpoint reads "0100007F:4965": the address as 32-bit words in the machine's byte order.
func parseEndpoint(s string) (netip.AddrPort, error) {
	addr, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(addr)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("endpoint %q", s)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("endpoint %q", s)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}
