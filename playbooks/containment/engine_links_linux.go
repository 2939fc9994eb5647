package containment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// maxSettings bounds, in bytes, what is kept of how one container was connected to one network.
const maxSettings = 4 << 10

var _ linker = (*engine)(nil)

// attachment is how a container is connected to a network, as GET /containers/ID/json tells of it.
type attachment struct {
	NetworkID, IPAddress, GlobalIPv6Address string
	settings
}

// address is what the engine claims of it, if it is one.
func (a attachment) address() string {
	ip, err := netip.ParseAddr(cmp.Or(a.IPAddress, a.GlobalIPv6Address))
	if err != nil {
		return ""
	}
	return ip.WithZone("").String()
}

// settings are what POST /networks/ID/connect takes of an attachment: what somebody asked for, and not
// what the engine chose.
// Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Network/operation/NetworkConnect
type settings struct {
	IPAMConfig json.RawMessage   `json:",omitempty"`
	Links      []string          `json:",omitempty"`
	Aliases    []string          `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
}

// Links implements linker. One that has no network, or the machine's own, is in none.
func (e *engine) Links(ctx context.Context, unit string) ([]Link, error) {
	c, err := e.look(ctx, unit)
	if errors.Is(err, errNoContainer) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Link
	for _, name := range slices.Sorted(maps.Keys(c.NetworkSettings.Networks)) {
		a := c.NetworkSettings.Networks[name]
		switch {
		case name == "none" || name == "host" || a.NetworkID == "": // of no network, or not connected
			continue
		case !containerName.MatchString(name) || !containerName.MatchString(a.NetworkID):
			return out, fmt.Errorf("%q is no network", printable(name))
		case len(out) == maxLinks:
			return out, fmt.Errorf("it names more than %d networks", maxLinks)
		}
		with, err := json.Marshal(a.settings)
		if err != nil {
			return out, err
		}
		if len(with) > maxSettings {
			with = nil // with what an engine chooses, then
		}
		out = append(out, Link{Manager: e.name, Unit: unit, Network: a.NetworkID, Name: name, Address: a.address(), Settings: with})
	}
	return out, nil
}

// Disconnect implements linker. A paused container is disconnected as well.
func (e *engine) Disconnect(ctx context.Context, l Link) error {
	return e.link(ctx, l, "disconnect", false, map[string]any{"Force": true})
}

// Connect implements linker.
func (e *engine) Connect(ctx context.Context, l Link) error {
	with := map[string]any{}
	if len(l.Settings) > 0 {
		with["EndpointConfig"] = l.Settings
	}
	return e.link(ctx, l, "connect", true, with)
}

// link sends one command on a connection, unless the engine says that it is as wanted already.
func (e *engine) link(ctx context.Context, l Link, command string, want bool, body map[string]any) error {
	if !containerName.MatchString(l.Network) {
		return fmt.Errorf("%q is no network", printable(l.Network))
	}
	is := func() (bool, error) {
		links, err := e.Links(ctx, l.Unit)
		return slices.ContainsFunc(links, l.same), err
	}
	if now, err := is(); err != nil || now == want {
		return err
	}
	id, err := e.find(ctx, l.Unit)
	if errors.Is(err, errNoContainer) {
		return nil
	}
	if err != nil {
		return err
	}
	body["Container"] = id
	_, failed := e.ask(ctx, "POST", "/networks/"+l.Network+"/"+command, body, maxHead)
	if now, err := is(); err != nil || now == want {
		return err
	}
	var no *refusal
	if want && errors.As(failed, &no) && no.status == 404 { // the network is gone, or the container
		return nil
	}
	return cmp.Or(failed, errors.New("it says that nothing changed"))
}
