// Package peers holds providers and fakes to what their services publish in Go: a fake is asked by the
// service's own client, and a provider asks the service's own mock. It is a module of its own, so that
// what it needs is needed by no build of clawback.
package peers
