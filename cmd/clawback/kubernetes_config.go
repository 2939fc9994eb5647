package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"clawback/playbooks/platform/kubernetes"
	"clawback/revoke"
)

// kubernetesConfig is where an agent runs in a cluster. No kubeconfig is read: those run programs.
type kubernetesConfig struct {
	Host      string    `yaml:"host"` // the node under response, as --host names it
	Server    string    `yaml:"server"`
	CA        string    `yaml:"ca"`
	Token     reference `yaml:"token"`
	Namespace string    `yaml:"namespace"`
	Selector  string    `yaml:"selector"`
}

const kubernetesHelp = `  kubernetes:               # an agent that runs as pods: they are kept and cut off, and nothing brings them back
    - host: node-1.example.org         # the node under response, as --host names it
      server: https://10.0.0.1:6443
      ca: /etc/clawback/ca.pem         # trusted there, and no other
      token: {env: KUBE_TOKEN}         # or file, command, vault; no kubeconfig is read
      namespace: agents
      selector: app=openclaw           # LABEL=VALUE of the agent's pods, or several with commas
`

// agent is what the configuration says. It was checked.
func (k kubernetesConfig) agent() kubernetes.Agent {
	labels, _ := kubernetes.ParseSelector(k.Selector)
	return kubernetes.Agent{Server: k.Server, Namespace: k.Namespace, Selector: labels}
}

func (c config) checkClusters() error {
	for i, k := range c.Isolation.Kubernetes {
		if err := k.check(); err != nil {
			return usage("clawback help config shows how it is written", "configuration %s: isolation: kubernetes, number %d: %w", c.file, i+1, err)
		}
	}
	return nil
}

func (k kubernetesConfig) check() error {
	if k.Host == "" {
		return errors.New("host is missing: which node it is about, as --host names it")
	}
	if err := k.Token.check(); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if _, err := kubernetes.ParseSelector(k.Selector); err != nil {
		return err
	}
	if k.CA != "" {
		if _, err := (endpointConfig{CA: k.CA}).pool(); err != nil {
			return fmt.Errorf("ca: %w", err)
		}
	}
	return k.agent().Check()
}

// client reaches the cluster; a dry run sends nothing.
func (k kubernetesConfig) client(dry bool) *http.Client {
	if dry {
		return revoke.NewClient(revoke.Refuse{})
	}
	return config{Endpoints: map[string]endpointConfig{"": {CA: k.CA}}}.client("")
}

// token loads the authority of a cluster anew each time.
func (a *app) token(r reference) func(context.Context) (revoke.Authority, error) {
	of := authorityConfig{Kind: "kubernetes.token", Parts: map[string]reference{"value": r}}
	load, _ := of.authority(a.env)
	return func(ctx context.Context) (revoke.Authority, error) {
		got, err := load(ctx)
		if err != nil {
			return got, fmt.Errorf("%w: %w", revoke.ErrNoAuthority, err)
		}
		return got, nil
	}
}
