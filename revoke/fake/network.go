package fake

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// AdversaryHeader marks the requests of the simulated adversary, so that their effect can be counted.
const AdversaryHeader = "X-Clawback-Adversary"

// Network is the in-memory network of a simulated world: host names on one side, fakes on the
// other, net.Pipe in between. It opens no socket and reaches nothing else.
type Network struct {
	server   *http.Server
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once

	mu    sync.Mutex
	hosts map[string]http.Handler
}

// NewNetwork returns a network that serves the given providers until Close.
func NewNetwork(providers ...Provider) *Network {
	n := &Network{
		accepted: make(chan net.Conn),
		done:     make(chan struct{}),
		hosts:    make(map[string]http.Handler),
	}
	for _, p := range providers {
		for _, h := range p.Hosts() {
			n.hosts[h] = p
		}
	}
	n.server = &http.Server{Handler: http.HandlerFunc(n.route), ReadHeaderTimeout: time.Minute}
	go func() { _ = n.server.Serve(listener{n}) }()
	return n
}

// Handle serves one more host name, or another handler under a name that is served already.
func (n *Network) Handle(host string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = h
}

func (n *Network) route(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	n.mu.Lock()
	handler := n.hosts[host]
	n.mu.Unlock()
	if handler == nil {
		http.Error(w, "no such host in this world: "+host, http.StatusBadGateway)
		return
	}
	handler.ServeHTTP(w, r)
}

// Client returns a client whose only way out is this network. It follows no redirect.
func (n *Network) Client() *http.Client {
	return &http.Client{
		Transport:     n.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Transport returns the transport behind Client. TLS ends before the pipe: what is tested is the
// protocol above it.
func (n *Network) Transport() *http.Transport {
	return &http.Transport{DialContext: n.dial, DialTLSContext: n.dial, MaxIdleConnsPerHost: 64}
}

func (n *Network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	_, known := n.hosts[host]
	n.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("no such host in this world: %s", host)
	}
	client, server := net.Pipe()
	select {
	case n.accepted <- server:
		return client, nil
	case <-n.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends all connections.
func (n *Network) Close() error {
	n.once.Do(func() { close(n.done) })
	return n.server.Close()
}

type listener struct{ n *Network }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.n.accepted:
		return c, nil
	case <-l.n.done:
		return nil, net.ErrClosed
	}
}
func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "simulated" }
