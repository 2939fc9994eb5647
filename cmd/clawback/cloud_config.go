package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"clawback/playbooks/actions"
	"clawback/playbooks/platform/cloud"
	"clawback/playbooks/platform/kubernetes"
	"clawback/revoke"
)

// cloudConfig is a machine as its cloud knows it. Nothing of it comes from the machine.
type cloudConfig struct {
	Host string     `yaml:"host"` // as --host names it
	From []string   `yaml:"from"`
	Port uint16     `yaml:"port"`
	AWS  *awsConfig `yaml:"aws"`
}

type awsConfig struct {
	Instance    string `yaml:"instance"`
	Region      string `yaml:"region"`
	WholeSubnet bool   `yaml:"whole_subnet"`
}

const cloudHelp = `  cloud:                    # a machine that its cloud cuts off too, where root on it cannot undo that
    - host: agent.example.org          # as --host names it; no step is shown for other machines
      from: [203.0.113.7]              # this desk as the machine sees it: its SSH stays open, and nothing else
      port: 22                         # of its SSH (default)
      aws: {instance: i-0a1b2c3d4e5f67890, region: eu-west-1}   # by authorities: {aws: …}; whole_subnet: true
                            # cuts open connections even where other machines are in its subnet, and those too
`

// prefixes are addresses and networks as people write them.
func prefixes(list []string) (all []netip.Prefix, err error) {
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("from: %q is neither an address nor a network", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, p)
	}
	return all, nil
}

// aws is the instance. The configuration was checked.
func (c cloudConfig) aws() (cloud.AWS, error) {
	from, err := prefixes(c.From)
	a := cloud.AWS{Instance: c.AWS.Instance, Region: c.AWS.Region, From: from, Port: c.Port, WholeSubnet: c.AWS.WholeSubnet}
	if err == nil {
		err = a.Check()
	}
	return a, err
}

func (c config) checkClouds() error {
	const hint = "write isolation: {cloud: [{host: web-1, from: [203.0.113.7], aws: {instance: i-…, region: eu-west-1}}]}"
	for i, machine := range c.Isolation.Cloud {
		err := machine.check()
		if _, ok := c.Authorities["aws"]; err == nil && !ok {
			err = errors.New("authorities: aws is missing, with which AWS is asked")
		}
		if err != nil {
			return usage(hint, "configuration %s: isolation: cloud, number %d: %w", c.file, i+1, err)
		}
	}
	return nil
}

func (c cloudConfig) check() error {
	switch {
	case c.Host == "":
		return errors.New("host is missing: which machine it is, as --host names it")
	case c.AWS == nil:
		return errors.New("aws is missing: which instance it is")
	}
	_, err := c.aws()
	return err
}

// machineOf is a machine's name without the account.
func machineOf(target string) string {
	_, host, ok := strings.Cut(target, "@")
	if !ok {
		host = target
	}
	return strings.ToLower(host)
}

// facts are what the steps of a response to a machine depend on.
func (a *app) facts(target string, remote bool) map[string]bool {
	known := false
	for _, c := range a.config.Isolation.Cloud {
		known = known || remote && machineOf(c.Host) == machineOf(target)
	}
	for _, k := range a.config.Isolation.Kubernetes {
		known = known || remote && machineOf(k.Host) == machineOf(target)
	}
	return map[string]bool{"remote": remote, "local": !remote, "platform": known, "hoster": remote && !known}
}

// runsOn is what a machine runs on. A dry run sends nothing.
func (s *situation) runsOn(target string, endpoints map[string]string, dry bool) (list []actions.Platform, err error) {
	env := s.env(endpoints, s.authorities, dry)
	for _, c := range s.app.config.Isolation.Cloud {
		if machineOf(c.Host) != machineOf(target) {
			continue
		}
		a, err := c.aws()
		if err != nil {
			return nil, err
		}
		m, err := cloud.NewAWS(a, env("aws"))
		if err != nil {
			return nil, err
		}
		list = append(list, actions.Platform{Provider: "aws", Authority: s.authorities.For("aws"), Wall: m, Disks: m})
	}
	for _, k := range s.app.config.Isolation.Kubernetes {
		if machineOf(k.Host) != machineOf(target) {
			continue
		}
		load := s.app.token(k.Token)
		w, err := kubernetes.New(k.agent(), revoke.Env{HTTP: k.client(dry), Authority: load, Sleep: ownClock.Sleep, Now: ownClock.Now})
		if err != nil {
			return nil, err
		}
		list = append(list, actions.Platform{Provider: "kubernetes", Authority: load, Wall: w})
	}
	return list, nil
}
