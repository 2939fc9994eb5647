package containment

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// agentPorts are what a gateway listens on: gateway, bridge, browser control, canvas.
// https://docs.openclaw.ai/gateway
var agentPorts = []int{18789, 18790, 18791, 18793}

// Check looks whether the agent is down and stays so: no process, nothing on its ports, no active
// unit; and a start of each unit that Stop blocked is tried and must be refused. Down needs all of
// it, and nothing that could not be looked at.
func (a *Agent) Check(ctx context.Context) (Checked, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.visit(ctx)
	if err != nil {
		return Checked{}, err
	}
	defer v.close()
	v.locate()
	v.findUnits(ctx, nil)
	var c Checked
	active := v.checkUnits(ctx, &c)
	if c.Processes, err = v.processes(ctx); err != nil {
		return c, err
	}
	if len(c.Processes) == 0 {
		c.Proof = append(c.Proof, "/proc: no process of the agent")
	}
	v.checkPorts(&c)
	c.Problems = v.problems
	c.Down = len(c.Processes) == 0 && len(c.Listening) == 0 && active == 0 && len(c.Problems) == 0
	return c, nil
}

// checkUnits counts the units that are not down. It tries to start what was blocked only where the
// manager confirms the block: a test must not be what brings the agent back.
func (v *visit) checkUnits(ctx context.Context, c *Checked) (active int) {
	for _, b := range v.Blocked {
		m := v.managerNamed(b.Manager)
		if m == nil {
			v.problems = append(v.problems, fmt.Sprintf("%s: the %s manager cannot be asked", b.Name, b.Manager))
			continue
		}
		if err := m.Blocked(ctx, b.Name); err != nil {
			v.problem(fmt.Errorf("%s could still start: %w", b.Name, err))
			continue
		}
		starts, ok := m.(starter)
		if !ok || !b.Service || !v.Killed {
			continue
		}
		if err := starts.Start(ctx, b.Name); err == nil {
			v.problem(fmt.Errorf("%s started when it was tried: %w", b.Name, m.Kill(ctx, b.Name)))
		} else {
			c.Proof = append(c.Proof, fmt.Sprintf("%s: start refused: %v", b.Name, err))
		}
	}
	v.findUnits(ctx, nil)
	for _, u := range v.units {
		c.Units = append(c.Units, u.Unit)
		if u.Active != "inactive" && u.Active != "failed" {
			active++
			continue
		}
		c.Proof = append(c.Proof, fmt.Sprintf("%s: %s", u.Name, u.Active)+u.startable())
	}
	return active
}

// startable says who can start a container again, which no engine refuses; "" of other units.
func (u Unit) startable() string {
	if u.Image == "" {
		return ""
	}
	text := fmt.Sprintf(", restart policy %s; %s refuses nobody a start", u.Restart, u.Manager)
	for _, by := range u.Starters {
		text += fmt.Sprintf(", %s %s %s: ask %s", by.Kind, by.Name, by.Detail, by.Ask)
	}
	return text
}

// checkPorts reads the tables of listening sockets, only where they are those of the agent's machine.
func (v *visit) checkPorts(c *Checked) {
	if !v.whole() {
		return
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := readBounded(table, 64<<20)
		if err != nil {
			v.problem(fmt.Errorf("listening ports: %w", err))
			continue
		}
		for _, s := range parseSockets(string(data)) {
			if s.listens && slices.Contains(agentPorts, int(s.Local.Port())) {
				c.Listening = append(c.Listening, int(s.Local.Port()))
			}
		}
	}
	slices.Sort(c.Listening)
	if c.Listening = slices.Compact(c.Listening); len(c.Listening) == 0 {
		c.Proof = append(c.Proof, "/proc/net/tcp: nothing listens on the agent's ports")
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
