package snapshots

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// routingRules lists the rules by which the machine chooses a routing table, one a line: /proc does
// not tell them.
func routingRules(*trail) ([]byte, error) {
	answer, err := syscall.NetlinkRIB(unix.RTM_GETRULE, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("routing rules: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	var out bytes.Buffer
	for _, m := range messages {
		if m.Header.Type == unix.RTM_NEWRULE {
			out.WriteString(routingRule(m.Data))
		}
	}
	return out.Bytes(), err
}

// The attributes of a rule that are shown by name (linux/fib_rules.h); others by number.
var ruleAttributes = map[uint16]string{
	1: "to", 2: "from", 3: "iif", 4: "goto", 6: "priority", 10: "fwmark", 15: "table", 16: "fwmask", 17: "oif", 20: "uids",
}

// routingRule is the line of one rule: struct fib_rule_hdr and its attributes.
func routingRule(data []byte) string {
	const header = 12
	if len(data) < header {
		return fmt.Sprintf("cut off: %x\n", data)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "family %d to /%d from /%d tos %d action %d flags %x", data[0], data[1], data[2], data[3], data[7], binary.NativeEndian.Uint32(data[8:]))
	for rest := data[header:]; len(rest) >= 4; {
		size, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if size < 4 || size > len(rest) {
			fmt.Fprintf(&line, " cut off: %x", rest)
			break
		}
		value := rest[4:size]
		name, known := ruleAttributes[kind]
		if !known {
			name = fmt.Sprintf("attribute %d", kind)
		}
		fmt.Fprintf(&line, " %s %s", name, ruleValue(name, value))
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return line.String() + "\n"
}

func ruleValue(name string, value []byte) string {
	addr, isAddr := netip.AddrFromSlice(value)
	switch {
	case name == "iif" || name == "oif":
		return fmt.Sprintf("%q", bytes.TrimRight(value, "\x00"))
	case (name == "to" || name == "from") && isAddr:
		return addr.String()
	case len(value) == 4 && !strings.HasPrefix(name, "attribute"):
		return fmt.Sprint(binary.NativeEndian.Uint32(value))
	}
	return fmt.Sprintf("%x", value)
}

// ruleset lists the tables, chains, rules and sets of nftables. The elements of sets are left out:
// they have no bound.
func ruleset(*trail) ([]byte, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	tables, err := conn.ListTables()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return []byte("this kernel has no nftables\n"), nil
	}
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	chains, err := conn.ListChains()
	errs := []error{err}
	var out bytes.Buffer
	for _, t := range tables {
		fmt.Fprintf(&out, "table %q family %d flags %x\n", t.Name, t.Family, t.Flags)
		sets, err := conn.GetSets(t)
		errs = append(errs, err)
		for _, s := range sets {
			fmt.Fprintf(&out, "table %q set %q type %s map %v\n", t.Name, s.Name, s.KeyType.Name, s.IsMap)
		}
		for _, c := range chains {
			if c.Table.Name != t.Name || c.Table.Family != t.Family {
				continue
			}
			fmt.Fprintf(&out, "table %q chain %q type %q hook %s priority %s policy %s\n", t.Name, c.Name, c.Type, known(c.Hooknum), known(c.Priority), known(c.Policy))
			rules, err := conn.GetRules(t, c)
			errs = append(errs, err)
			for _, r := range rules {
				fmt.Fprintf(&out, "table %q chain %q handle %d:", t.Name, c.Name, r.Handle)
				for _, e := range r.Exprs {
					fmt.Fprintf(&out, " %s%+v", strings.TrimPrefix(fmt.Sprintf("%T", e), "*expr."), e)
				}
				fmt.Fprintln(&out)
				if out.Len() > maxLive {
					return out.Bytes(), fmt.Errorf("nftables: more than %d bytes", maxLive)
				}
			}
		}
	}
	return out.Bytes(), errors.Join(errs...)
}

// known is what a pointer leads to, where it does.
func known[T any](value *T) string {
	if value == nil {
		return "-"
	}
	return fmt.Sprint(*value)
}
