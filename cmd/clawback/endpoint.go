package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"go.yaml.in/yaml/v3"

	"clawback/playbooks/actions"
	"clawback/revoke"
	"clawback/revoke/providers"
)

// endpointConfig is where a provider is called, and who vouches for that place.
type endpointConfig struct {
	URL string `yaml:"url"`
	CA  string `yaml:"ca"` // file of PEM certificates that are trusted there, and no others
}

// UnmarshalYAML takes a bare URL too.
func (e *endpointConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&e.URL)
	}
	type plain endpointConfig
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i].Value; key != "url" && key != "ca" { // a decoder below this one is not strict
			return fmt.Errorf("line %d: field %s is not known in an endpoint", n.Content[i].Line, key)
		}
	}
	return n.Decode((*plain)(e))
}

func (c config) checkEndpoints() error {
	for name, e := range c.Endpoints {
		if err := checkEndpoint(name, e.URL); err != nil {
			return err
		}
		if e.CA == "" {
			continue
		}
		if _, err := e.pool(); err != nil {
			return usage("write ca: /path of a file with PEM certificates", "configuration %s: endpoints.%s.ca: %w", c.file, name, err)
		}
	}
	for name := range c.Settings {
		if !slices.Contains(providers.Names(), name) {
			return usage("clawback providers lists them", "configuration %s: settings: there is no provider %q", c.file, name)
		}
	}
	return nil
}

// checkEndpoint refuses a URL to which secrets must not be sent.
func checkEndpoint(provider, endpoint string) error {
	if !slices.Contains(providers.Names(), provider) {
		return usage("clawback providers lists them", "endpoint: there is no provider %q", provider)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usage("write it as https://host[:port][/path]", "endpoint of %s: not a URL to which paths can be added", provider)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return usage("use https; http is for loopback alone", "endpoint of %s: secrets are not sent over %s to %s", provider, u.Scheme, u.Hostname())
	}
	return nil
}

func (e endpointConfig) pool() (*x509.CertPool, error) {
	pem, err := readOwn(e.CA, maxAuthority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(e.CA + " holds no certificate")
	}
	return pool, nil
}

// client is the one by which a provider is reached. Where its own CA cannot be read any more, nothing
// is sent: any other would do for whoever sits in between.
func (c config) client(provider string) *http.Client {
	transport := revoke.NewTransport()
	if e := c.Endpoints[provider]; e.CA != "" {
		pool, err := e.pool()
		if err != nil {
			return revoke.NewClient(unreachable{fmt.Errorf("the CA of its endpoint cannot be read: %w", err)})
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return revoke.NewClient(transport)
}

// unreachable is a transport that sends nothing, and says why.
type unreachable struct{ why error }

func (u unreachable) RoundTrip(*http.Request) (*http.Response, error) { return nil, u.why }

// env is what each provider gets from outside. A dry run sends nothing.
func (s *situation) env(endpoints map[string]string, authorities *actions.Authorities, dry bool) func(string) revoke.Env {
	return func(name string) revoke.Env {
		client := s.app.config.client(name)
		if dry {
			client = revoke.NewClient(revoke.Refuse{})
		}
		return revoke.Env{
			HTTP: client, Endpoint: endpoints[name], Authority: authorities.For(name), Settings: s.app.settings(name, authorities),
			Sleep: ownClock.Sleep, Now: ownClock.Now,
		}
	}
}
