package containment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// aloneTable is of the table that cuts the agent off alone.
const aloneTable = tableName + "-agent"

// deeper is how many levels below its path a control group is looked for: the kernel counts from the
// root of all groups or, since 6.12, from that of the caller's namespace, and an id names one group only.
const deeper = 3

// Alone implements Isolator. A process is known by the control group or the account that made its socket,
// and what it had open by its ends. In a network of the agent's own, nothing passes but loopback.
func (Firewall) Alone(_ context.Context, desk []Connection, s Suspect) (Isolated, error) {
	var done Isolated
	w := wall{name: aloneTable, family: "inet", chains: []string{"input", "output"}, policy: nftables.ChainPolicyAccept}
	expected := 0
	w.rules = func(chain string) (rules [][]expr.Any) {
		for _, p := range wayIns(desk) {
			rules = append(rules, verdict(p.matches(chain), expr.VerdictAccept))
		}
		for _, matches := range s.matches(chain) {
			rules = append(rules, verdict(matches, expr.VerdictDrop))
		}
		expected = len(rules)
		return rules
	}
	c := &nftables.Conn{}
	if err := w.build(c); err != nil {
		return done, fmt.Errorf("isolate the agent alone: %w", err)
	}
	for _, g := range s.Groups {
		done.How = append(done.How, fmt.Sprintf("nftables table inet %s: all traffic of control group %s (%d) dropped", aloneTable, g.Path, g.ID))
	}
	for _, uid := range s.Accounts {
		done.How = append(done.How, fmt.Sprintf("nftables table inet %s: what account %d sends dropped", aloneTable, uid))
	}
	if n := len(s.Sockets); n > 0 {
		done.How = append(done.How, fmt.Sprintf("nftables table inet %s: %d sockets that it has open cut off by their addresses", aloneTable, n))
	}
	for _, chain := range w.chains {
		switch rules, err := readBack(c, aloneTable, chain, nftables.ChainPolicyAccept); {
		case err != nil:
			done.Problems = append(done.Problems, err.Error())
		case len(rules) != expected:
			done.Problems = append(done.Problems, fmt.Sprintf("chain %s has %d rules instead of %d", chain, len(rules), expected))
		default:
			done.Proof = append(done.Proof, fmt.Sprintf("inet %s %s: %d rules, read back", aloneTable, chain, len(rules)))
		}
	}
	for _, space := range s.Spaces {
		if err := closeSpace(space); err != nil {
			done.Problems = append(done.Problems, err.Error())
			continue
		}
		done.How = append(done.How, fmt.Sprintf("nftables table inet %s in the network of process %s: all traffic dropped but loopback", tableName, space.Who))
		done.Proof = append(done.Proof, fmt.Sprintf("inet %s in the network of process %s: policy drop, read back", tableName, space.Who))
	}
	done.Kept = append(done.Kept, "the rest of the machine; sockets of the machine itself, by which others may ask for the agent")
	return done, nil
}

// matches are what packets of the agent's a chain can tell.
func (s Suspect) matches(chain string) (rules [][]expr.Any) {
	for _, g := range s.Groups {
		depth := strings.Count(strings.Trim(filepath.Clean(g.Path), "/"), "/") + 1
		for level := depth; level <= depth+deeper; level++ {
			rules = append(rules, []expr.Any{
				&expr.Socket{Key: expr.SocketKeyCgroupv2, Level: uint32(level), Register: 1},
				equal(binaryutil.NativeEndian.PutUint64(g.ID)),
			})
		}
	}
	for _, uid := range s.Accounts {
		rules = append(rules, []expr.Any{&expr.Meta{Key: expr.MetaKeySKUID, Register: 1}, equal(binaryutil.NativeEndian.PutUint32(uint32(uid)))})
	}
	for _, o := range s.Sockets {
		rules = append(rules, o.matches(chain)...)
	}
	return rules
}

// matches are of packets between the ends of a socket; one that is bound to any address has them of
// both families.
func (o OpenSocket) matches(chain string) (rules [][]expr.Any) {
	layer4 := byte(unix.IPPROTO_TCP)
	if o.UDP {
		layer4 = unix.IPPROTO_UDP
	}
	families := []netip.Addr{o.Local.Addr()}
	if o.Local.Addr().IsUnspecified() {
		families = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, of := range families {
		e := endsOf(chain, of)
		rule := protocol(e.family, layer4)
		if !of.IsUnspecified() {
			rule = append(rule, payload(expr.PayloadBaseNetworkHeader, e.ours, e.size), equal(of.AsSlice()))
		}
		rule = append(rule, payload(expr.PayloadBaseTransportHeader, e.oursPort, 2), equal(binaryutil.BigEndian.PutUint16(o.Local.Port())))
		if o.Remote.Port() != 0 && o.Remote.Addr().Is4() == of.Is4() {
			rule = append(rule, payload(expr.PayloadBaseNetworkHeader, e.theirs, e.size), equal(o.Remote.Addr().AsSlice()),
				payload(expr.PayloadBaseTransportHeader, e.theirsPort, 2), equal(binaryutil.BigEndian.PutUint16(o.Remote.Port())))
		}
		rules = append(rules, rule)
	}
	return rules
}

// Dropped implements Isolator: that rules match shows only when something comes by.
func (Firewall) Dropped(_ context.Context, spaces []Space) (packets uint64, err error) {
	packets, err = dropped(&nftables.Conn{}, aloneTable, nftables.ChainPolicyAccept)
	failed := []error{err}
	for _, space := range spaces {
		err := inSpace(space, func(c *nftables.Conn) error {
			n, err := dropped(c, tableName, nftables.ChainPolicyDrop)
			packets += n
			return err
		})
		if !errors.Is(err, errEmptySpace) {
			failed = append(failed, err)
		}
	}
	return packets, errors.Join(failed...)
}

// dropped counts what the rules of a table dropped.
func dropped(c *nftables.Conn, table string, policy nftables.ChainPolicy) (packets uint64, err error) {
	for _, chain := range []string{"input", "output"} {
		rules, err := readBack(c, table, chain, policy)
		if err != nil {
			return packets, err
		}
		for _, rule := range rules {
			var n uint64
			for _, e := range rule.Exprs {
				switch e := e.(type) {
				case *expr.Counter:
					n = e.Packets
				case *expr.Verdict:
					if e.Kind == expr.VerdictDrop {
						packets += n
					}
				}
			}
		}
	}
	return packets, nil
}

func closeSpace(s Space) error {
	w := wall{name: tableName, family: "inet", chains: []string{"input", "output", "forward"}, policy: nftables.ChainPolicyDrop}
	w.rules = func(chain string) (rules [][]expr.Any) {
		for _, matches := range append(exceptions(chain, nil), nil) {
			kind := expr.VerdictDrop // in the end, so that it is counted
			if matches != nil {
				kind = expr.VerdictAccept
			}
			rules = append(rules, verdict(matches, kind))
		}
		return rules
	}
	return inSpace(s, func(c *nftables.Conn) error {
		if err := w.build(c); err != nil {
			return err
		}
		_, err := readBack(c, tableName, "output", nftables.ChainPolicyDrop)
		return err
	})
}

// ReopenSpace implements Isolator.
func (Firewall) ReopenSpace(_ context.Context, s Space) error {
	err := inSpace(s, func(c *nftables.Conn) error { return demolish(c, "inet", tableName) })
	if errors.Is(err, errEmptySpace) {
		return nil // it went with its last process
	}
	return err
}

var errEmptySpace = errors.New("nobody is in it any more")

// inSpace works on the packet filter of a network, by way of whoever is in it.
func inSpace(s Space, do func(*nftables.Conn) error) error {
	failed := func(err error) error { return fmt.Errorf("the network of process %s: %w", s.Who, err) }
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return failed(err)
	}
	for _, link := range links {
		ns, err := os.Open(link)
		if err != nil {
			continue
		}
		var stat unix.Stat_t
		err = unix.Fstat(int(ns.Fd()), &stat)
		if err != nil || stat.Ino != s.ID {
			ns.Close()
			continue
		}
		err = do(&nftables.Conn{NetNS: int(ns.Fd())})
		ns.Close()
		if err != nil {
			err = failed(err)
		}
		return err
	}
	return failed(errEmptySpace)
}
