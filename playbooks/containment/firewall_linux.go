package containment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is of the tables that isolate this machine. Nobody else's are touched.
const tableName = "clawback"

// Firewall isolates the network namespace that the caller is in, by nftables. It sees packets before
// connection tracking, so what was established is cut as well. Against root on this machine it is
// a delay, not a wall.
type Firewall struct{}

var _ Isolator = Firewall{}

var (
	hooks    = map[string]*nftables.ChainHook{"input": nftables.ChainHookInput, "output": nftables.ChainHookOutput, "forward": nftables.ChainHookForward}
	families = map[string]nftables.TableFamily{"inet": nftables.TableFamilyINet, "bridge": nftables.TableFamilyBridge}
)

// Isolate implements Isolator.
func (Firewall) Isolate(_ context.Context, desk []Connection, keep []Keep) (Isolated, error) {
	var done Isolated
	if err := cut(&nftables.Conn{}, "inet", []string{"input", "output", "forward"}, append(wayIns(desk), keeps(keep)...)); err != nil {
		return done, fmt.Errorf("isolate: %w", err)
	}
	done.How = append(done.How, "nftables table inet clawback: all traffic dropped but loopback and ssh from the desk")
	for _, c := range desk {
		done.Kept = append(done.Kept, fmt.Sprintf("ssh from %s to port %d (the desk's way in)", c.Remote.Addr(), c.Local.Port()))
	}
	for _, k := range keep {
		done.Kept = append(done.Kept, fmt.Sprintf("%s: %s, TCP and UDP, both ways", k.Name, k.Addr))
	}
	// Frames that a bridge carries between its ports never pass the chains of inet.
	if bridges, _ := filepath.Glob("/sys/class/net/*/bridge"); len(bridges) > 0 {
		if err := cut(&nftables.Conn{}, "bridge", []string{"forward"}, nil); err != nil {
			done.Problems = append(done.Problems, "bridged guests are not cut off: "+err.Error())
		} else {
			done.How = append(done.How, "nftables table bridge clawback: nothing forwarded")
		}
	}
	for _, chain := range []string{"input", "output", "forward"} {
		rules, err := confirm(chain)
		if err != nil {
			done.Problems = append(done.Problems, err.Error())
			continue
		}
		done.Proof = append(done.Proof, fmt.Sprintf("inet clawback %s: policy drop, %d rules, read back", chain, rules))
	}
	return done, nil
}

// pass is traffic that a chain lets through.
type pass struct {
	theirs  netip.Addr
	matches func(chain string) []expr.Any
}

// cut puts a table in place that drops all but what is open.
func cut(c *nftables.Conn, family string, chains []string, open []pass) error {
	w := wall{name: tableName, family: family, chains: chains, policy: nftables.ChainPolicyDrop}
	w.rules = func(chain string) (rules [][]expr.Any) {
		for _, matches := range exceptions(chain, open) {
			rules = append(rules, verdict(matches, expr.VerdictAccept))
		}
		return rules
	}
	return w.build(c)
}

// wall is a table of ours.
type wall struct {
	name, family string
	chains       []string
	policy       nftables.ChainPolicy
	rules        func(chain string) [][]expr.Any
}

// build puts the table in place, in one transaction, in place of one that an earlier call left.
func (w wall) build(c *nftables.Conn) error {
	table := &nftables.Table{Name: w.name, Family: families[w.family]}
	c.AddTable(table) // so that deleting it cannot fail
	c.DelTable(table)
	c.AddTable(table)
	for _, name := range w.chains {
		chain := c.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hooks[name],
			Priority: nftables.ChainPriorityRef(-500), // before defragmentation and tracking
			Policy:   &w.policy,
		})
		for _, exprs := range w.rules(name) {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables table %s %s: %w", w.family, w.name, err)
	}
	return nil
}

// verdict is what is done to packets that match, which are counted.
func verdict(matches []expr.Any, kind expr.VerdictKind) []expr.Any {
	return append(matches, &expr.Counter{}, &expr.Verdict{Kind: kind})
}

// exceptions is what a chain lets pass: loopback, what is open and, for what of it goes over IPv6, the
// neighbour discovery without which it dies.
func exceptions(chain string, open []pass) (rules [][]expr.Any) {
	device := map[string]expr.MetaKey{"input": expr.MetaKeyIIFNAME, "output": expr.MetaKeyOIFNAME}[chain]
	if chain == "forward" {
		return nil
	}
	rules = append(rules, []expr.Any{&expr.Meta{Key: device, Register: 1}, equal([]byte("lo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))})
	for _, p := range open {
		rules = append(rules, p.matches(chain))
	}
	if slices.ContainsFunc(open, func(p pass) bool { return p.theirs.Is6() }) {
		for kind := byte(133); kind <= 136; kind++ { // RFC 4861: router and neighbour discovery, never routed
			rules = append(rules, append(protocol(unix.NFPROTO_IPV6, unix.IPPROTO_ICMPV6),
				payload(expr.PayloadBaseTransportHeader, 0, 1), equal([]byte{kind}),
				payload(expr.PayloadBaseNetworkHeader, 7, 1), equal([]byte{255})))
		}
	}
	return rules
}

// Offsets into the headers of a packet, by the chain that sees it: where its source or destination is
// the other end's.
type ends struct {
	family               byte
	size                 uint32 // of an address
	theirs, ours         uint32 // addresses, in the network header
	theirsPort, oursPort uint32 // in the transport header
}

func endsOf(chain string, theirs netip.Addr) ends {
	e := ends{family: unix.NFPROTO_IPV4, size: 4, theirs: 12, oursPort: 2}
	if theirs.Is6() {
		e.family, e.size, e.theirs = unix.NFPROTO_IPV6, 16, 8
	}
	e.ours = e.theirs + e.size
	if chain == "output" {
		e.theirs, e.ours, e.theirsPort, e.oursPort = e.ours, e.theirs, e.oursPort, e.theirsPort
	}
	return e
}

// wayIns match TCP between the other end's address, whatever its port, and the address and port of
// ours: a link that was lost can be made anew.
func wayIns(desk []Connection) (open []pass) {
	for _, c := range desk {
		open = append(open, pass{c.Remote.Addr(), func(chain string) []expr.Any {
			e := endsOf(chain, c.Remote.Addr())
			return append(protocol(e.family, unix.IPPROTO_TCP),
				payload(expr.PayloadBaseNetworkHeader, e.theirs, e.size), equal(c.Remote.Addr().AsSlice()),
				payload(expr.PayloadBaseNetworkHeader, e.ours, e.size), equal(c.Local.Addr().AsSlice()),
				payload(expr.PayloadBaseTransportHeader, e.oursPort, 2), equal(binaryutil.BigEndian.PutUint16(c.Local.Port())))
		}})
	}
	return open
}

// keeps match TCP and UDP between a service's address and port, and whatever port of ours.
func keeps(keep []Keep) (open []pass) {
	for _, k := range keep {
		for _, layer4 := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			open = append(open, pass{k.Addr.Addr(), func(chain string) []expr.Any {
				e := endsOf(chain, k.Addr.Addr())
				return append(protocol(e.family, layer4),
					payload(expr.PayloadBaseNetworkHeader, e.theirs, e.size), equal(k.Addr.Addr().AsSlice()),
					payload(expr.PayloadBaseTransportHeader, e.theirsPort, 2), equal(binaryutil.BigEndian.PutUint16(k.Addr.Port())))
			}})
		}
	}
	return open
}

func protocol(family, layer4 byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equal([]byte{family}),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal([]byte{layer4}),
	}
}

func payload(base expr.PayloadBase, offset, size uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: size}
}

func equal(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// confirm reads a chain of Isolate's back from the kernel: that it is hooked, drops, and how many rules it has.
func confirm(name string) (rules int, err error) {
	list, err := readBack(&nftables.Conn{}, tableName, name, nftables.ChainPolicyDrop)
	return len(list), err
}

// readBack reads the rules of a chain from the kernel, which must be hooked and have that policy.
func readBack(c *nftables.Conn, table, name string, policy nftables.ChainPolicy) ([]*nftables.Rule, error) {
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("read the ruleset back: %w", err)
	}
	for _, chain := range chains {
		if chain.Table.Name != table || chain.Name != name {
			continue
		}
		if chain.Policy == nil || *chain.Policy != policy || chain.Hooknum == nil || *chain.Hooknum != *hooks[name] {
			return nil, fmt.Errorf("chain %s does not drop what it should", name)
		}
		list, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return nil, fmt.Errorf("read the rules of %s back: %w", name, err)
		}
		return list, nil
	}
	return nil, fmt.Errorf("chain %s is not in the ruleset", name)
}

// ourTables are those that Isolate and Alone put in place, by family.
var ourTables = []struct{ family, name string }{{"inet", tableName}, {"inet", aloneTable}, {"bridge", tableName}}

// absent reports whether an error means that there is no such table, or nothing that could have it.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// Standing implements Isolator.
func (Firewall) Standing(context.Context) (list []string, err error) {
	c := &nftables.Conn{}
	for _, ours := range ourTables {
		tables, err := c.ListTablesOfFamily(families[ours.family])
		if err != nil && !absent(err) {
			return list, fmt.Errorf("read the ruleset: %w", err)
		}
		for _, table := range tables {
			if table.Name != ours.name {
				continue
			}
			list = append(list, fmt.Sprintf("nftables table %s %s", ours.family, ours.name))
		}
	}
	return list, nil
}

// Restore implements Isolator.
func (Firewall) Restore(context.Context) error {
	var failed []error
	for _, ours := range ourTables {
		if err := demolish(&nftables.Conn{}, ours.family, ours.name); err != nil {
			failed = append(failed, fmt.Errorf("restore the network: %w", err))
		}
	}
	return errors.Join(failed...)
}

func demolish(c *nftables.Conn, family, name string) error {
	c.DelTable(&nftables.Table{Name: name, Family: families[family]})
	if err := c.Flush(); err != nil && !absent(err) {
		return fmt.Errorf("delete table %s %s: %w", family, name, err)
	}
	return nil
}
