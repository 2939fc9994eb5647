package wire

import (
	"errors"
	"net/netip"
	"net/url"
)

// Address parses an address that the desk configured, to which secrets are sent: https://, or http://
// on this machine, without user and fragment.
func Address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("no address")
	case u.Hostname() == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("want https://…, or http:// on this machine: secrets are sent there")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("want an address without user and fragment")
	}
	return u, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
