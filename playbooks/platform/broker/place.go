package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// Place is where a broker is reached, and who vouches for it.
type Place struct {
	Address string         // host:port
	CA      *x509.CertPool // trusted there and nobody else; nil: the roots of the desk
	Plain   bool           // without TLS: for loopback alone
}

// Check refuses a place to which no secret may be sent.
func (p Place) Check() error {
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil || host == "" || port == "" {
		return errors.New("write the address as host:port")
	}
	ip := net.ParseIP(host)
	if p.Plain && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("secrets are not sent to %s in the clear: plain is for loopback alone", host)
	}
	return nil
}

// tls is nil for a place without it.
func (p Place) tls() *tls.Config {
	if p.Plain {
		return nil
	}
	host, _, _ := net.SplitHostPort(p.Address)
	return &tls.Config{ServerName: host, RootCAs: p.CA, MinVersion: tls.VersionTLS12}
}

// dial connects, with TLS unless the place has none.
func (p Place) dial(ctx context.Context) (net.Conn, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxConnecting)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
	if err != nil || p.Plain {
		return conn, err
	}
	secure := tls.Client(conn, p.tls())
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}
