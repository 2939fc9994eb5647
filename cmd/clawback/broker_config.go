package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"clawback/playbooks/actions"
	"clawback/playbooks/platform/broker"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// brokerConfig is a place where work waits for the agent: one of its kinds.
type brokerConfig struct {
	Redis    *redisConfig    `yaml:"redis"`
	Postgres *postgresConfig `yaml:"postgres"`
	RabbitMQ *rabbitmqConfig `yaml:"rabbitmq"`
	NATS     *natsConfig     `yaml:"nats"`
}

// brokerAt is what all kinds have.
type brokerAt struct {
	Address   string          `yaml:"address"`
	CA        string          `yaml:"ca"`
	Plain     bool            `yaml:"plain"` // without TLS, on loopback
	Authority brokerAuthority `yaml:"authority"`
}

// brokerAuthority is where an administrator's account is kept.
type brokerAuthority struct {
	User     reference `yaml:"user"`
	Password reference `yaml:"password"`
}

type redisConfig struct {
	brokerAt `yaml:",inline"`
	User     string   `yaml:"user"` // the agent's
	Keys     []string `yaml:"keys"`
}

type postgresConfig struct {
	brokerAt `yaml:",inline"`
	Database string   `yaml:"database"`
	Role     string   `yaml:"role"` // the agent's
	Tables   []string `yaml:"tables"`
}

type rabbitmqConfig struct {
	brokerAt `yaml:",inline"`
	Vhost    string   `yaml:"vhost"`
	User     string   `yaml:"user"` // the agent's
	Queues   []string `yaml:"queues"`
}

type natsConfig struct {
	brokerAt `yaml:",inline"`
	User     string   `yaml:"user"` // the agent's
	Streams  []string `yaml:"streams"`
}

// brokerHelp is a part of the help on the configuration.
const brokerHelp = `brokers:                    # where work waits for the agent: it is cut off there, and what waits is copied
  tasks:                    # a name of yours
    redis:
      address: redis.example.com:6379
      ca: /etc/clawback/ca.pem         # trusted there, and no other; plain: true, on loopback alone, is without TLS
      user: openclaw                   # the agent's account, which is turned off
      keys: [queue:agent, stream:tasks]   # its queues: lists, streams, sorted sets
      authority: {user: {env: REDIS_USER}, password: {file: /etc/clawback/redis-password}}   # an administrator's, by
                                       # the references of authorities
  queue:
    postgres:
      address: db.example.com:5432     # ca, plain and authority as above; the administrator may change the role and owns
      database: app                    # the tables, or is a superuser
      role: openclaw                   # the agent's: may not log in any more
      tables: [public.tasks]           # its queues: their rows are hidden from all but the owner and superusers
      authority: {user: {env: PGADMIN}, password: {file: /etc/clawback/postgres-password}}
  jobs:
    rabbitmq:
      address: mq.example.com:15671    # of its management API
      vhost: /                         # of the queues
      user: openclaw                   # the agent's: its permissions on all virtual hosts, and its tags, are taken away
      queues: [agent.tasks]            # classic ones are copied
      authority: {user: {env: MQADMIN}, password: {file: /etc/clawback/rabbitmq-password}}
  events:
    nats:
      address: nats.example.com:4222
      user: openclaw                   # the agent's: a person takes it away, for NATS has no request that does
      streams: [TASKS]                 # of JetStream: their consumers are paused (from 2.11 on), their messages copied
      authority: {user: {env: NATS_USER}, password: {file: /etc/clawback/nats-password}}   # of the same account of NATS
`

// maxBrokers bounds what is cut off at once.
const maxBrokers = 32

var brokerName = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,31}\z`)

// at is what a broker's kind has in common with the others; nil where not exactly one is named.
func (b brokerConfig) at() *brokerAt {
	var kinds []*brokerAt
	if b.Redis != nil {
		kinds = append(kinds, &b.Redis.brokerAt)
	}
	if b.Postgres != nil {
		kinds = append(kinds, &b.Postgres.brokerAt)
	}
	if b.RabbitMQ != nil {
		kinds = append(kinds, &b.RabbitMQ.brokerAt)
	}
	if b.NATS != nil {
		kinds = append(kinds, &b.NATS.brokerAt)
	}
	if len(kinds) != 1 {
		return nil
	}
	return kinds[0]
}

func (c config) checkBrokers() error {
	const hint = "clawback help config shows how a broker is written"
	if len(c.Brokers) > maxBrokers {
		return usage(hint, "configuration %s: %d brokers are more than %d", c.file, len(c.Brokers), maxBrokers)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Brokers)) {
		if !brokerName.MatchString(name) {
			return usage("it names a folder of the evidence", "configuration %s: brokers: %q is no word of a-z, 0-9 and -", c.file, name)
		}
		if err := c.Brokers[name].check(); err != nil {
			return usage(hint, "configuration %s: brokers.%s: %w", c.file, name, err)
		}
	}
	return nil
}

func (b brokerConfig) check() error {
	at := b.at()
	if at == nil {
		return errors.New("it is of one kind: redis, postgres, rabbitmq or nats")
	}
	if err := (broker.Place{Address: at.Address, Plain: at.Plain}).Check(); err != nil {
		return err
	}
	if _, err := at.pool(); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if err := at.Authority.Password.check(); err != nil {
		return fmt.Errorf("authority.password: %w", err)
	}
	if err := at.Authority.User.check(); err != nil {
		return fmt.Errorf("authority.user: %w", err)
	}
	switch {
	case b.Redis != nil:
		return wordsOf("user", []string{b.Redis.User}, "keys", b.Redis.Keys)
	case b.RabbitMQ != nil && b.RabbitMQ.Vhost == "":
		return errors.New("vhost is missing")
	case b.RabbitMQ != nil:
		return wordsOf("user", []string{b.RabbitMQ.User}, "queues", b.RabbitMQ.Queues)
	case b.NATS != nil:
		for _, name := range b.NATS.Streams {
			if err := broker.CheckStream(name); err != nil {
				return fmt.Errorf("streams: %w", err)
			}
		}
		return wordsOf("user", []string{b.NATS.User}, "streams", b.NATS.Streams)
	case b.Postgres.Database == "":
		return errors.New("database is missing")
	}
	return wordsOf("role", []string{b.Postgres.Role}, "tables", b.Postgres.Tables)
}

// wordsOf refuses what names nothing, or what could mean something else to a broker.
func wordsOf(label string, agent []string, many string, queues []string) error {
	for what, list := range map[string][]string{label: agent, many: queues} {
		if len(list) == 0 {
			return errors.New(what + " is missing")
		}
		for _, word := range list {
			if word == "" || len(word) > 200 || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) {
				return fmt.Errorf("%s: %q is no name", what, word)
			}
		}
	}
	return nil
}

// pool is nil where the roots of the desk are trusted.
func (b brokerAt) pool() (*x509.CertPool, error) {
	if b.CA == "" {
		return nil, nil
	}
	return endpointConfig{CA: b.CA}.pool()
}

func (b brokerAt) place() broker.Place {
	pool, err := b.pool()
	if err != nil {
		pool = x509.NewCertPool() // it could be read a moment ago: nobody is trusted in its place
	}
	return broker.Place{Address: b.Address, CA: pool, Plain: b.Plain}
}

// load returns how the access is loaded.
func (b brokerAuthority) load(env environment) func(context.Context) (revoke.Authority, error) {
	both := authorityConfig{Kind: actions.BrokerKind, Parts: map[string]reference{"user": b.User, "password": b.Password}}
	load, _ := both.authority(env)
	return load
}

// brokers are those of the configuration. Their authorities are added to own.
func (a *app) brokers(own *actions.Authorities) (all []broker.Broker) {
	for _, name := range slices.Sorted(maps.Keys(a.config.Brokers)) {
		c, key := a.config.Brokers[name], actions.BrokerAuthority(name)
		at := c.at()
		both := authorityConfig{Parts: map[string]reference{"user": at.Authority.User, "password": at.Authority.Password}}
		own.Load[key], own.Runs[key], own.Renewal[key] = at.Authority.load(a.env), both.runs(), both.renewal()
		access := func(ctx context.Context) (broker.Access, error) {
			got, err := own.For(key)(ctx)
			return accessOf(got.Secret), err
		}
		b := c.broker(name, access)
		all = append(all, b)
		own.Try[key] = func(ctx context.Context) (string, error) {
			s, err := b.Look(ctx)
			return s.Who, err
		}
	}
	return all
}

func accessOf(s credential.Secret) broker.Access {
	return broker.Access{User: s.Reveal("user"), Password: s.Reveal("password")}
}

func (b brokerConfig) broker(name string, access broker.Authority) broker.Broker {
	if p := b.Postgres; p != nil {
		return broker.Postgres{Called: name, Place: p.place(), Database: p.Database, Role: p.Role, Tables: p.Tables, Authority: access}
	}
	if m := b.RabbitMQ; m != nil {
		return broker.RabbitMQ{Called: name, Place: m.place(), Vhost: m.Vhost, User: m.User, Queues: m.Queues, Authority: access}
	}
	if n := b.NATS; n != nil {
		return broker.NATS{Called: name, Place: n.place(), User: n.User, Streams: n.Streams, Authority: access}
	}
	return broker.Redis{Called: name, Place: b.Redis.place(), User: b.Redis.User, Keys: b.Redis.Keys, Authority: access}
}
