package containment

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

var keepName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// ParseKeep reads NAME=ADDRESS:PORT, as Keep.String writes it. A host's name is no address: on an
// isolated machine nothing is looked up any more.
func ParseKeep(text string) (Keep, error) {
	name, address, ok := strings.Cut(text, "=")
	if !ok || !keepName.MatchString(name) {
		return Keep{}, fmt.Errorf("%.100q is not NAME=ADDRESS:PORT", text)
	}
	addr, err := ParseAddress(address)
	if err != nil {
		return Keep{}, fmt.Errorf("%s: %w", name, err)
	}
	return Keep{name, addr}, nil
}

func (k Keep) String() string { return k.Name + "=" + k.Addr.String() }

// ParseAddress reads ADDRESS:PORT of one machine off this one.
func ParseAddress(text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("%.100q is not ADDRESS:PORT, as 10.0.0.5:6514 or [2001:db8::5]:6514", text)
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	switch ip := a.Addr(); {
	case a.Port() == 0:
		err = errors.New("port 0 is none")
	case ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		err = fmt.Errorf("%s names no single machine off this one", ip)
	}
	return a, err
}
