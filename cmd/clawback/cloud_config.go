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

	Google *googleConfig `yaml:"google"`
	Azure  *azureConfig  `yaml:"azure"`
}

type awsConfig struct {
	Instance    string `yaml:"instance"`
	Region      string `yaml:"region"`
	WholeSubnet bool   `yaml:"whole_subnet"`
}

type googleConfig struct {
	Project  string `yaml:"project"`
	Zone     string `yaml:"zone"`
	Instance string `yaml:"instance"`
}

type azureConfig struct {
	Subscription string `yaml:"subscription"`
	Group        string `yaml:"group"`
	VM           string `yaml:"vm"`
}

const cloudHelp = `  cloud:                    # a machine that its cloud cuts off too, where root on it cannot undo that
    - host: agent.example.org          # as --host names it; no step is shown for other machines
      from: [203.0.113.7]              # this desk as the machine sees it: its SSH stays open, and nothing else
      port: 22                         # of its SSH (default)
      aws: {instance: i-0a1b2c3d4e5f67890, region: eu-west-1}   # by authorities: {aws: …}; whole_subnet: true
                            # cuts open connections even where other machines are in its subnet, and those too
    - host: agent-2.example.org
      from: [203.0.113.7]
      google: {project: acme-agents, zone: europe-west1-b, instance: agent-2}   # by authorities: {google: …}, an access token
    - host: agent-3.example.org
      from: [203.0.113.7]
      azure: {subscription: 00000000-0000-0000-0000-000000000000, group: agents, vm: agent-3}   # by authorities: {azure: …}, its
                            # part management: an access token for Resource Manager
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

// aws is the instance, which the configuration names.
func (c cloudConfig) aws() (cloud.AWS, error) {
	from, err := prefixes(c.From)
	a := cloud.AWS{Instance: c.AWS.Instance, Region: c.AWS.Region, From: from, Port: c.Port, WholeSubnet: c.AWS.WholeSubnet}
	if err == nil {
		err = a.Check()
	}
	return a, err
}

// google is the instance, which the configuration names.
func (c cloudConfig) google() (cloud.Google, error) {
	from, err := prefixes(c.From)
	g := cloud.Google{Project: c.Google.Project, Zone: c.Google.Zone, Instance: c.Google.Instance, From: from, Port: c.Port}
	if err == nil {
		err = g.Check()
	}
	return g, err
}

// azure is the machine, which the configuration names.
func (c cloudConfig) azure() (cloud.Azure, error) {
	from, err := prefixes(c.From)
	a := cloud.Azure{Subscription: c.Azure.Subscription, Group: c.Azure.Group, VM: c.Azure.VM, From: from, Port: c.Port}
	if err == nil {
		err = a.Check()
	}
	return a, err
}

// provider is whose cloud it is: its name among the authorities, and in words.
func (c cloudConfig) provider() (name, title string) {
	switch {
	case c.AWS != nil:
		return "aws", "AWS"
	case c.Google != nil:
		return "google", "Google Cloud"
	}
	return "azure", "Azure"
}

func (c config) checkClouds() error {
	const hint = "write isolation: {cloud: [{host: web-1, from: [203.0.113.7], aws: {instance: i-…, region: eu-west-1}}]}; clawback help config shows each cloud"
	for i, machine := range c.Isolation.Cloud {
		err := machine.check()
		name, title := machine.provider()
		authority, ok := c.Authorities[name]
		if err == nil && !ok {
			err = fmt.Errorf("authorities: %s is missing, with which %s is asked", name, title)
		} else if _, ok := authority.Parts["management"]; err == nil && name == "azure" && !ok {
			err = errors.New("authorities: azure: part management is missing, an access token for Azure's Resource Manager: {login: az-management}")
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
	case c.clouds() != 1:
		return errors.New("want one of aws, google and azure: which instance it is")
	case c.Azure != nil:
		_, err := c.azure()
		return err
	case c.Google != nil:
		_, err := c.google()
		return err
	}
	_, err := c.aws()
	return err
}

// clouds is how many it is at.
func (c cloudConfig) clouds() (n int) {
	for _, is := range []bool{c.AWS != nil, c.Google != nil, c.Azure != nil} {
		if is {
			n++
		}
	}
	return n
}

// runsOn is the cloud's part of a response. The configuration was checked.
func (c cloudConfig) runsOn(env func(string) revoke.Env) (actions.Platform, error) {
	name, _ := c.provider()
	p := actions.Platform{Provider: name, Authority: env(name).Authority}
	if c.Google != nil {
		g, err := c.google()
		if err == nil {
			p.Wall, err = cloud.NewGoogle(g, env(name))
		}
		return p, err
	}
	if c.Azure != nil {
		a, err := c.azure()
		if err == nil {
			p.Wall, err = cloud.NewAzure(a, env(name))
		}
		return p, err
	}
	a, err := c.aws()
	if err != nil {
		return p, err
	}
	m, err := cloud.NewAWS(a, env(name))
	p.Wall, p.Disks = m, m
	return p, err
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
		p, err := c.runsOn(env)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
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
		list = append(list, actions.Platform{Provider: "kubernetes", Authority: load, Wall: w, Logs: w})
	}
	return list, nil
}
