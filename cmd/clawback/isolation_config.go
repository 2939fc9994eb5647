package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"clawback/playbooks/containment"
)

// isolationConfig is what an isolated machine may still reach, and what it is tried on.
type isolationConfig struct {
	Keep  map[string]string `yaml:"keep"`
	Probe string            `yaml:"probe"`
	Cloud []cloudConfig     `yaml:"cloud"`

	Kubernetes []kubernetesConfig `yaml:"kubernetes"`
}

const isolationHelp = `isolation:                  # of a machine that is cut off the network; addresses, not names
  keep: {siem: "10.0.0.5:6514", edr: "203.0.113.7:443"}   # stay in reach, by TCP and UDP: whoever is on the machine can use them
  probe: 10.0.0.9:443       # answers the machine and must not any more; tried once before and once after (default: the
                            # desk itself, on a port that nothing listens on)
`

// maxKeep bounds what is kept: an isolation with more holes is none.
const maxKeep = 32

// keep is what is kept, by name. The configuration was checked.
func (i isolationConfig) keep() (list []containment.Keep, err error) {
	for _, name := range slices.Sorted(maps.Keys(i.Keep)) {
		k, err := containment.ParseKeep(name + "=" + i.Keep[name])
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	if len(list) > maxKeep {
		return nil, fmt.Errorf("%d addresses are more than %d", len(list), maxKeep)
	}
	return list, nil
}

// forbidden is what an isolated machine is tried on; the zero address where none is named.
func (i isolationConfig) forbidden() (netip.AddrPort, error) {
	if i.Probe == "" {
		return netip.AddrPort{}, nil
	}
	return containment.ParseAddress(i.Probe)
}

func (c config) checkIsolation() error {
	const hint = "write isolation: {keep: {siem: \"10.0.0.5:6514\"}, probe: 10.0.0.9:443}"
	keep, err := c.Isolation.keep()
	if err != nil {
		return usage(hint, "configuration %s: isolation: keep: %w", c.file, err)
	}
	probe, err := c.Isolation.forbidden()
	if err != nil {
		return usage(hint, "configuration %s: isolation: probe: %w", c.file, err)
	}
	if err := c.checkClouds(); err != nil {
		return err
	}
	if err := c.checkClusters(); err != nil {
		return err
	}
	if slices.ContainsFunc(keep, func(k containment.Keep) bool { return k.Addr == probe }) {
		return usage(hint, "configuration %s: isolation: %s is kept, so it proves nothing as probe", c.file, probe)
	}
	return nil
}
