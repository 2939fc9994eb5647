package host

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// An account's or a host's name begins with a letter, a digit or an underscore and holds nothing that a
// shell, ssh's own %-expansion or an option parser would take for more than a name.
var (
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)
)

// checkTarget accepts [USER@]HOST, where HOST is a name, an alias of ssh's configuration or an address.
func checkTarget(target string) error {
	user, host, ok := strings.Cut(target, "@")
	if !ok {
		user, host = "", target
	}
	if ok && !userName.MatchString(user) {
		return fmt.Errorf("%.100q is not [USER@]HOST: the user's name holds what it must not", target)
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return nil
	}
	if !hostName.MatchString(host) {
		return fmt.Errorf("%.100q is not [USER@]HOST: give a port or more in ssh's own configuration", target)
	}
	return nil
}
