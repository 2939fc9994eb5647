package revoke

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
)

// A proxy of the environment would see where the secrets go, and could be the attacker's.
func TestTransportTakesNoProxy(t *testing.T) {
	var seen bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen = true }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	transport := NewTransport()
	defer transport.CloseIdleConnections()
	resp, err := NewClient(transport).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	// net/http itself spares loopback from proxies, so that the request alone proves nothing.
	if seen || transport.Proxy != nil {
		t.Error("it goes through the environment's proxy")
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	var followed bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	transport := NewTransport()
	defer transport.CloseIdleConnections()
	resp, err := NewClient(transport).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if followed || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("followed=%v, %s", followed, resp.Status)
	}
}

func TestTransportWantsRealTLS(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.1": tls.VersionTLS11, "a certificate that nobody signed": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			var served bool
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
			server.TLS = &tls.Config{MaxVersion: version, MinVersion: tls.VersionTLS10}
			server.Config.ErrorLog = nil
			server.StartTLS()
			defer server.Close()
			transport := NewTransport()
			defer transport.CloseIdleConnections()
			if version == tls.VersionTLS11 { // so that only the version is wrong
				transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			}
			if resp, err := NewClient(transport).Get(server.URL); err == nil {
				_ = resp.Body.Close()
				t.Errorf("answered: %s", resp.Status)
			}
			if served {
				t.Error("the request was sent")
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	resp, err := NewClient(Refuse{}).Get("https://api.example/token/secret")
	if err == nil {
		_ = resp.Body.Close()
	}
	var dry *DryRunError
	if !errors.As(err, &dry) || dry.Host != "api.example" || dry.Error() != "dry run: GET to api.example was not sent" {
		t.Errorf("err = %v", err)
	}
}

func TestNeverSent(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, k := range map[string]struct {
		err  error
		want bool
	}{
		"no connection":     {&url.Error{Op: "Post", URL: "https://p.test", Err: refused}, true},
		"no such host":      {&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, true},
		"cut while sending": {&net.OpError{Op: "write", Err: syscall.EPIPE}, false},
		"cut while reading": {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
		"closed":            {io.EOF, false},
		"nothing":           {nil, false},
	} {
		if got := NeverSent(k.err); got != k.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
