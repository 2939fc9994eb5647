package broker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"clawback/playbooks/platform"
	"clawback/snapshots"
)

// Redis is a server whose lists, streams or sorted sets are queues. It has no pause for one of them,
// and its accounts are those of one node: each node of a cluster is a broker of its own.
type Redis struct {
	Called    string
	Place     Place
	User      string   // the agent's
	Keys      []string // its queues
	Authority Authority
}

var _ Broker = Redis{}

func (r Redis) Name() string  { return r.Called }
func (r Redis) Where() string { return "redis " + r.Place.Address }
func (r Redis) Agent() string { return r.User }

func (r Redis) ByHand() (cut, back string) {
	return fmt.Sprintf("ACL SETUSER %s off, then CLIENT KILL USER %s", r.User, r.User), fmt.Sprintf("ACL SETUSER %s on", r.User)
}

// redisWas is what Restore has to know.
type redisWas struct {
	On bool `json:"on"`
}

// open connects and logs in.
func (r Redis) open(ctx context.Context) (*resp, Access, error) {
	access, err := r.Authority(ctx)
	if err == nil && access.User == "" {
		access.User = "default"
	}
	if err == nil && access.User == r.User {
		err = ErrOwn
	}
	if err != nil {
		return nil, access, err
	}
	conn, err := r.Place.dial(ctx)
	if err != nil {
		return nil, access, err
	}
	c := &resp{conn: conn, in: bufio.NewReaderSize(conn, maxRespLine)}
	if _, err := c.do(ctx, "AUTH", access.User, access.Password); err != nil {
		return nil, access, errors.Join(fmt.Errorf("log in as %s: %w", access.User, err), conn.Close())
	}
	return c, access, nil
}

// in does something over a connection of its own.
func (r Redis) in(ctx context.Context, do func(c *resp, who string) error) error {
	c, access, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.conn.Close() }()
	return do(c, access.User)
}

// Look implements Broker.
func (r Redis) Look(ctx context.Context) (s Standing, err error) {
	err = r.in(ctx, func(c *resp, who string) error {
		s.Who = who
		on, err := r.isOn(ctx, c)
		if err != nil {
			return err
		}
		s.Off = !on
		if s.Was, err = json.Marshal(redisWas{On: on}); err != nil {
			return err
		}
		if s.Live, s.Others, err = r.clients(ctx, c); err != nil {
			return err
		}
		for _, key := range r.Keys {
			kind, n, err := length(ctx, c, key)
			if err != nil {
				return fmt.Errorf("key %s: %w", key, err)
			}
			s.Queues = append(s.Queues, Queue{Name: key, Kind: kind, Messages: n})
		}
		return nil
	})
	return s, err
}

// isOn reads the flags of the agent's account, and nothing else of it: its password's digest stands there.
// https://redis.io/docs/latest/commands/acl-getuser/
func (r Redis) isOn(ctx context.Context, c *resp) (bool, error) {
	answer, err := c.do(ctx, "ACL", "GETUSER", r.User)
	if err != nil {
		return false, fmt.Errorf("look at user %s: %w", r.User, err)
	}
	list, _ := answer.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		if flags, ok := list[i+1].([]any); ok && list[i] == "flags" {
			return slices.Contains(flags, any("on")), nil
		}
	}
	return false, fmt.Errorf("user %s: %w", r.User, ErrNoAgent)
}

// clients lists the connections of the agent's, and counts those of others.
// https://redis.io/docs/latest/commands/client-list/
func (r Redis) clients(ctx context.Context, c *resp) (live, others []string, err error) {
	answer, err := c.do(ctx, "CLIENT", "LIST")
	if err != nil {
		return nil, nil, fmt.Errorf("list the connections: %w", err)
	}
	text, ok := answer.(string)
	if !ok {
		return nil, nil, errNotRedis
	}
	count := make(map[string]int)
	for client := range strings.Lines(text) {
		fields := make(map[string]string)
		for _, pair := range strings.Fields(client) {
			if k, v, ok := strings.Cut(pair, "="); ok {
				fields[k] = v
			}
		}
		if fields["user"] == r.User {
			live = append(live, cut(fields["addr"]))
		} else {
			count[cut(fields["user"])]++
		}
	}
	for _, user := range slices.Sorted(maps.Keys(count)) {
		others = append(others, fmt.Sprintf("user %s: connections: %d", user, count[user]))
	}
	return live, listed(others), nil
}

// length is the kind of a key, and how many messages it has.
func length(ctx context.Context, c *resp, key string) (kind string, n int64, err error) {
	answer, err := c.do(ctx, "TYPE", key)
	if err != nil {
		return "", 0, err
	}
	kind, _ = answer.(string)
	command := map[string]string{"list": "LLEN", "stream": "XLEN", "zset": "ZCARD"}[kind]
	switch {
	case kind == "none":
		return kind, 0, nil
	case command == "":
		return cut(kind), -1, nil
	}
	if answer, err = c.do(ctx, command, key); err != nil {
		return kind, 0, err
	}
	n, ok := answer.(int64)
	if !ok {
		return kind, 0, errNotRedis
	}
	return kind, n, nil
}

// Cut implements Broker. An account that is off is refused where it logs in; what is connected goes
// on until it is ended. https://redis.io/docs/latest/commands/acl-setuser/
func (r Redis) Cut(ctx context.Context) (d Done, err error) {
	err = r.in(ctx, func(c *resp, _ string) error {
		if _, err := r.isOn(ctx, c); err != nil { // SETUSER would make one that is not there
			return err
		}
		if _, err := c.do(ctx, "ACL", "SETUSER", r.User, "off"); err != nil {
			return fmt.Errorf("turn user %s off: %w", r.User, err)
		}
		d.Did = append(d.Did, "user "+r.User+" turned off")
		ended := int64(0)
		err := await(ctx, func(ctx context.Context) (int, error) {
			answer, err := c.do(ctx, "CLIENT", "KILL", "USER", r.User)
			if err != nil {
				return 0, fmt.Errorf("end the connections of user %s: %w", r.User, err)
			}
			n, _ := answer.(int64)
			ended += n
			live, _, err := r.clients(ctx, c)
			return len(live), err
		})
		d.Did = append(d.Did, fmt.Sprintf("connections of the agent's ended: %d", ended))
		d.Left = append(d.Left, "a restart of the server lets it in again where its users stand in a file that nobody changed")
		return err
	})
	return d, err
}

// Hold implements Broker: of one queue there is no pause.
func (r Redis) Hold(ctx context.Context) (d Done, err error) {
	err = r.in(ctx, func(c *resp, _ string) error {
		_, others, err := r.clients(ctx, c)
		d.Left = append(d.Left, "Redis cannot pause a queue: what other accounts take out of it goes on ("+strings.Join(others, ", ")+")")
		return err
	})
	return d, err
}

// Restore implements Broker.
func (r Redis) Restore(ctx context.Context, was json.RawMessage) (d Done, err error) {
	var w redisWas
	if err := json.Unmarshal(was, &w); err != nil {
		return d, fmt.Errorf("how it stood before is not on record: %w", err)
	}
	if !w.On {
		return Done{Did: []string{"user " + r.User + " left off, as it was"}}, nil
	}
	err = r.in(ctx, func(c *resp, _ string) error {
		if _, err := r.isOn(ctx, c); err != nil {
			return err
		}
		if _, err := c.do(ctx, "ACL", "SETUSER", r.User, "on"); err != nil {
			return fmt.Errorf("turn user %s on: %w", r.User, err)
		}
		d.Did = append(d.Did, "user "+r.User+" turned on again")
		return nil
	})
	return d, err
}

// redisPage is how many messages are asked for at once.
const redisPage = 100

// Preserve implements Broker.
func (r Redis) Preserve(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	e := collect(sink)
	return e.End(ctx, r.preserve(ctx, e))
}

func (r Redis) preserve(ctx context.Context, e *platform.Evidence) error {
	s, err := r.Look(ctx)
	if err != nil {
		return err
	}
	if err := e.JSON("queues.json", s.Queues); err != nil {
		return err
	}
	for _, q := range s.Queues {
		read := map[string]func(context.Context, *resp, string, io.Writer) (bool, error){
			"list": readList, "stream": readStream, "zset": readSorted,
		}[q.Kind]
		if read == nil {
			e.Skip("%s: nothing is copied of the kind %s", q.Name, q.Kind)
			continue
		}
		// A connection for each: after an answer that was too long nothing more can be read from one.
		err := e.File(platform.FileName("messages", q.Name, ".jsonl"), func(w io.Writer) (changed bool, err error) {
			err = r.in(ctx, func(c *resp, _ string) error {
				changed, err = read(ctx, c, q.Name, w)
				return err
			})
			return changed, err
		})
		if err == nil && q.Kind == "stream" {
			err = r.groups(ctx, e, q.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listed elements of a list, from its head.
func readList(ctx context.Context, c *resp, key string, w io.Writer) (changed bool, err error) {
	_, before, err := length(ctx, c, key)
	if err != nil {
		return false, err
	}
	for at := int64(0); ; at += redisPage {
		if at >= maxMessages {
			return false, platform.ErrFull
		}
		page, err := c.list(ctx, "LRANGE", key, decimal(at), decimal(at+redisPage-1))
		if err != nil {
			return false, err
		}
		for i, v := range page {
			if err := line(w, struct {
				Index int64 `json:"index"`
				Value value `json:"value"`
			}{at + int64(i), bytesOf(v)}); err != nil {
				return false, err
			}
		}
		if len(page) < redisPage {
			break
		}
	}
	_, after, err := length(ctx, c, key)
	return before != after, err
}

// readSorted reads a sorted set with its scores, the lowest first.
func readSorted(ctx context.Context, c *resp, key string, w io.Writer) (changed bool, err error) {
	_, before, err := length(ctx, c, key)
	if err != nil {
		return false, err
	}
	for at := int64(0); ; at += redisPage {
		if at >= maxMessages {
			return false, platform.ErrFull
		}
		page, err := c.list(ctx, "ZRANGE", key, decimal(at), decimal(at+redisPage-1), "WITHSCORES")
		if err != nil {
			return false, err
		}
		for i := 0; i+1 < len(page); i += 2 {
			score, _ := page[i+1].(string)
			if err := line(w, struct {
				Score string `json:"score"`
				Value value  `json:"value"`
			}{score, bytesOf(page[i])}); err != nil {
				return false, err
			}
		}
		if len(page) < 2*redisPage {
			break
		}
	}
	_, after, err := length(ctx, c, key)
	return before != after, err
}

// readStream reads the entries of a stream, and of nobody's group: nothing becomes pending.
func readStream(ctx context.Context, c *resp, key string, w io.Writer) (changed bool, err error) {
	from, n := "-", int64(0)
	for {
		page, err := c.list(ctx, "XRANGE", key, from, "+", "COUNT", decimal(redisPage))
		if err != nil {
			return false, err
		}
		for _, v := range page {
			if n++; n > maxMessages {
				return false, platform.ErrFull
			}
			entry, _ := v.([]any)
			if len(entry) != 2 {
				return false, errNotRedis
			}
			id, _ := entry[0].(string)
			fields, _ := entry[1].([]any)
			out := struct {
				ID     string  `json:"id"`
				Fields []value `json:"fields"` // name, value, name, value
			}{ID: id}
			for _, f := range fields {
				out.Fields = append(out.Fields, bytesOf(f))
			}
			if err := line(w, out); err != nil {
				return false, err
			}
			from = "(" + id
		}
		if len(page) < redisPage {
			return false, nil
		}
	}
}

// groups writes who reads a stream how far, and how much each has taken and not acknowledged.
func (r Redis) groups(ctx context.Context, e *platform.Evidence, key string) error {
	return e.File(platform.FileName("groups", key, ".json"), func(w io.Writer) (bool, error) {
		return false, r.in(ctx, func(c *resp, _ string) error {
			groups, err := c.list(ctx, "XINFO", "GROUPS", key)
			if err != nil {
				return err
			}
			return line(w, readable(groups))
		})
	})
}

// readable makes an answer one of readable values.
func readable(v any) any {
	switch v := v.(type) {
	case string:
		return value(v)
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, readable(x))
		}
		return out
	}
	return v
}

// list is do for what answers a list.
func (c *resp) list(ctx context.Context, args ...string) ([]any, error) {
	answer, err := c.do(ctx, args...)
	if err != nil {
		return nil, err
	}
	list, ok := answer.([]any)
	if !ok && answer != nil {
		return nil, errNotRedis
	}
	return list, nil
}

func bytesOf(v any) value {
	s, _ := v.(string)
	return value(s)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
