package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"clawback/playbooks/platform"
	"clawback/snapshots"
)

// NATS is an account of a server with JetStream. Its streams are copied and their consumers paused;
// who may log in is in the server's configuration, or an operator's token, and changed by a person.
// https://docs.nats.io/reference/reference-protocols/nats_api_reference
type NATS struct {
	Called    string
	Place     Place
	User      string   // the agent's
	Streams   []string // of the account of Authority
	Authority Authority
}

var _ Broker = NATS{}

// ErrByHand means that a broker lets nobody take an account's access away over its protocol.
var ErrByHand = errors.New("NATS takes no account away over its protocol: a person has to, and nothing shows here when that is done")

// heldUntil is when a consumer goes on by itself, and how one that this program paused is known.
var heldUntil = time.Date(2099, 12, 31, 23, 59, 58, 0, time.UTC)

var (
	connzWait  = 2 * time.Second        // for the first server that says who is connected
	connzQuiet = 300 * time.Millisecond // after which no other one is waited for
)

const (
	maxNatsServers = 64
	maxConsumers   = 10_000 // of one stream
)

func (n NATS) Name() string  { return n.Called }
func (n NATS) Where() string { return "nats " + n.Place.Address }
func (n NATS) Agent() string { return n.User }

func (n NATS) ByHand() (cut, back string) {
	cut = fmt.Sprintf("remove user %s from the configuration of every nats-server of the cluster, then nats-server --signal reload on each, which ends its connections; "+
		"with an operator's accounts: nsc delete user --name %s --revoke, then nsc push", n.User, n.User)
	back = fmt.Sprintf("put user %s back into the configuration, where it was removed, then nats-server --signal reload; nats consumer resume STREAM CONSUMER for each that is paused until %s",
		n.User, heldUntil.Format(time.RFC3339))
	return cut, back
}

// natsName reports whether a name is one token of a subject, and can be asked for.
func natsName(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsAny(s, ".*>/\\") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}

// CheckStream refuses what is no name of a stream.
func CheckStream(name string) error {
	if !natsName(name) {
		return fmt.Errorf("%q is no name of a stream", name)
	}
	return nil
}

// natsError is what JetStream answered instead of what was asked, without its words.
type natsError struct {
	Code int `json:"code"`
	Err  int `json:"err_code"`
}

func (e natsError) Error() string {
	return fmt.Sprintf("JetStream answered error %d (%d)", e.Code, e.Err)
}

type natsState struct {
	Messages int64  `json:"messages"`
	First    uint64 `json:"first_seq"`
	Last     uint64 `json:"last_seq"`
}

type natsConsumer struct {
	Stream string `json:"stream_name"`
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
	Config struct {
		Until time.Time `json:"pause_until"`
	} `json:"config"`
	raw json.RawMessage
}

// natsWas is what Restore has to know: the consumers that were paused before, by STREAM/CONSUMER.
type natsWas struct {
	Paused map[string]time.Time `json:"paused"`
}

// in does something over a connection of its own.
func (n NATS) in(ctx context.Context, do func(c *natsWire, who string) error) error {
	access, err := n.Authority(ctx)
	if err == nil && access.User == n.User {
		err = ErrOwn
	}
	if err != nil {
		return err
	}
	c, err := dialNATS(ctx, n.Place, access, rand.Text())
	if err != nil {
		return fmt.Errorf("log in as %s: %w", access.User, err)
	}
	defer func() { _ = c.conn.Close() }()
	return do(c, access.User)
}

// api asks JetStream something, and reads the answer of that name into v.
func (c *natsWire) api(ctx context.Context, what, rest string, body, v any) error {
	return c.send(ctx, askWait, "$JS.API."+what+"."+rest, body, func(b []byte) (bool, error) {
		var answer struct {
			Type  string     `json:"type"`
			Error *natsError `json:"error"`
		}
		want := "io.nats.jetstream.api.v1." + strings.ToLower(strings.ReplaceAll(what, ".", "_")) + "_response"
		switch {
		case json.Unmarshal(b, &answer) != nil || answer.Type != want:
			return true, errNotNATS
		case answer.Error != nil:
			return true, *answer.Error
		case json.Unmarshal(b, v) != nil:
			return true, errNotNATS
		}
		return true, nil
	})
}

// pauses reports whether the server can pause a consumer: older ones leave that question unanswered.
func (c *natsWire) pauses() bool {
	major, rest, _ := strings.Cut(c.version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, bad := strconv.Atoi(major)
	y, worse := strconv.Atoi(minor)
	return bad == nil && worse == nil && (x > 2 || x == 2 && y >= 11)
}

// stream reads how a stream stands; there may be none.
func (c *natsWire) stream(ctx context.Context, name string) (s natsState, raw json.RawMessage, err error) {
	var answer json.RawMessage
	var info struct {
		Config struct {
			Name string `json:"name"`
		} `json:"config"`
		State natsState `json:"state"`
	}
	err = c.api(ctx, "STREAM.INFO", name, struct{}{}, &answer)
	if err == nil {
		err = json.Unmarshal(answer, &info)
	}
	var refused natsError
	switch {
	case errors.As(err, &refused) && refused.Code == 404:
		return s, nil, errNotFound
	case err != nil:
		return s, nil, fmt.Errorf("stream %s: %w", name, err)
	case info.Config.Name != name || info.State.Messages < 0:
		return s, nil, fmt.Errorf("stream %s: the server answers for another one", name)
	}
	return info.State, answer, nil
}

// consumers reads all consumers of a stream, a page at a time.
func (c *natsWire) consumers(ctx context.Context, stream string) (all []natsConsumer, err error) {
	for {
		var page struct {
			Total     int               `json:"total"`
			Consumers []json.RawMessage `json:"consumers"`
		}
		if err := c.api(ctx, "CONSUMER.LIST", stream, map[string]int{"offset": len(all)}, &page); err != nil {
			return nil, fmt.Errorf("list the consumers of stream %s: %w", stream, err)
		}
		for _, raw := range page.Consumers {
			one := natsConsumer{raw: raw}
			if err := json.Unmarshal(raw, &one); err != nil || one.Stream != stream || !natsName(one.Name) {
				return nil, fmt.Errorf("list the consumers of stream %s: the answer has another form", stream)
			}
			all = append(all, one)
		}
		switch {
		case len(page.Consumers) == 0 || len(all) >= page.Total:
			return all, nil
		case len(all) > maxConsumers:
			return nil, fmt.Errorf("list the consumers of stream %s: %w", stream, ErrTooLarge)
		}
	}
}

// Look implements Broker. Off stays unknown: only who has the agent's access could tell.
func (n NATS) Look(ctx context.Context) (s Standing, err error) {
	was := natsWas{Paused: map[string]time.Time{}}
	err = n.in(ctx, func(c *natsWire, who string) error {
		s.Who = who
		for _, name := range n.Streams {
			state, _, err := c.stream(ctx, name)
			if errors.Is(err, errNotFound) {
				s.Queues = append(s.Queues, Queue{Name: name, Kind: "none"})
				continue
			}
			if err != nil {
				return err
			}
			s.Queues = append(s.Queues, Queue{Name: name, Kind: "stream", Messages: state.Messages})
			all, err := c.consumers(ctx, name)
			if err != nil {
				return err
			}
			for _, one := range all {
				if one.Paused && !one.Config.Until.Equal(heldUntil) {
					was.Paused[name+"/"+one.Name] = one.Config.Until.UTC()
				}
				s.Others = append(s.Others, one.text())
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	s.Proof = []string{"NATS does not show whether account " + n.User + " is refused"}
	live, others, err := n.connections(ctx)
	switch {
	case ctx.Err() != nil:
		return s, context.Cause(ctx)
	case err != nil:
		unsaid := fmt.Sprintf("who is connected is not shown to %s", s.Who)
		s.Proof, s.Others = append(s.Proof, unsaid), append(s.Others, unsaid)
	default:
		s.Proof = append(s.Proof, fmt.Sprintf("connections of it: %d", len(live)))
		s.Live, s.Others = listed(live), append(s.Others, others...)
	}
	s.Others = listed(s.Others)
	s.Was, err = json.Marshal(was)
	return s, err
}

func (c natsConsumer) text() string {
	if c.Paused {
		return fmt.Sprintf("consumer %s of stream %s: paused", cut(c.Name), c.Stream)
	}
	return fmt.Sprintf("consumer %s of stream %s", cut(c.Name), c.Stream)
}

// natsConnections is what one server says of the connections of the account that asks.
type natsConnections struct {
	Data *struct {
		Total       int `json:"total"`
		Connections []struct {
			IP   string `json:"ip"`
			Port int    `json:"port"`
			User string `json:"authorized_user"`
		} `json:"connections"`
	} `json:"data"`
}

// connections asks all servers of a cluster who is connected to the account. How many servers there
// are is not known: those that answer soon are heard. The conversation has a connection of its own,
// which is spent when nothing more comes.
func (n NATS) connections(ctx context.Context) (live, others []string, err error) {
	count, heard := make(map[string]int), 0
	err = n.in(ctx, func(c *natsWire, _ string) error {
		return c.send(ctx, min(connzWait, askWait), "$SYS.REQ.ACCOUNT.PING.CONNZ", map[string]any{"auth": true, "limit": 1024}, func(b []byte) (bool, error) {
			var page natsConnections
			if json.Unmarshal(b, &page) != nil || page.Data == nil {
				return true, errNotNATS
			}
			for _, conn := range page.Data.Connections {
				if conn.User == n.User {
					live = append(live, fmt.Sprintf("%s:%d", cut(conn.IP), conn.Port))
				} else {
					count["user "+cut(conn.User)]++
				}
			}
			if more := page.Data.Total - len(page.Data.Connections); more > 0 {
				count["not named"] += more
			}
			heard++
			return heard == maxNatsServers || ctx.Err() != nil, c.conn.SetDeadline(time.Now().Add(connzQuiet))
		})
	})
	if err != nil && (heard == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
		return nil, nil, err
	}
	for _, who := range slices.Sorted(maps.Keys(count)) {
		others = append(others, fmt.Sprintf("%s: connections: %d", who, count[who]))
	}
	return live, others, nil
}

// Cut implements Broker. It always fails: see ErrByHand.
func (n NATS) Cut(ctx context.Context) (Done, error) {
	return Done{}, n.in(ctx, func(*natsWire, string) error { return ErrByHand })
}

// Hold implements Broker. No consumer is removed: how far it came is evidence.
func (n NATS) Hold(ctx context.Context) (d Done, err error) {
	err = n.in(ctx, func(c *natsWire, _ string) error {
		var failed []error
		for _, stream := range n.Streams {
			all, err := c.consumers(ctx, stream)
			var refused natsError
			if errors.As(err, &refused) && refused.Code == 404 {
				continue
			}
			if err != nil {
				failed = append(failed, err)
				continue
			}
			if !c.pauses() {
				d.Left = append(d.Left, fmt.Sprintf("a server of version %s cannot pause a consumer (2.11 can): whoever takes from stream %s goes on, consumers: %d", cut(c.version), stream, len(all)))
				continue
			}
			for _, one := range all {
				if err := c.pause(ctx, one, heldUntil); err != nil {
					failed = append(failed, fmt.Errorf("pause consumer %s of stream %s: %w", cut(one.Name), stream, err))
					continue
				}
				d.Did = append(d.Did, fmt.Sprintf("consumer %s of stream %s is paused", cut(one.Name), stream))
			}
		}
		d.Left = append(d.Left, "whoever has access to the account puts messages in, and may take some by a new consumer")
		return errors.Join(failed...)
	})
	return d, err
}

// pause pauses a consumer, or lets it go on where the time is over.
// https://docs.nats.io/reference/jetstream/api/consumer/pause
func (c *natsWire) pause(ctx context.Context, one natsConsumer, until time.Time) error {
	var answer struct {
		Paused bool      `json:"paused"`
		Until  time.Time `json:"pause_until"`
	}
	var body struct {
		Until *time.Time `json:"pause_until,omitempty"`
	}
	wanted := until.After(time.Now())
	if wanted {
		body.Until = &until
	}
	if err := c.api(ctx, "CONSUMER.PAUSE", one.Stream+"."+one.Name, body, &answer); err != nil {
		return err
	}
	if answer.Paused != wanted || wanted && !answer.Until.Equal(until) {
		return errors.New("the server says that it did not")
	}
	return nil
}

// Restore implements Broker: what was paused goes on. The agent's account was never taken away by it.
func (n NATS) Restore(ctx context.Context, was json.RawMessage) (d Done, err error) {
	var w natsWas
	if err := json.Unmarshal(was, &w); err != nil {
		return d, fmt.Errorf("how it stood before is not on record: %w", err)
	}
	err = n.in(ctx, func(c *natsWire, _ string) error {
		var failed []error
		for _, stream := range n.Streams {
			all, err := c.consumers(ctx, stream)
			var refused natsError
			if errors.As(err, &refused) && refused.Code == 404 {
				continue
			}
			if err != nil {
				failed = append(failed, err)
			}
			for _, one := range all {
				if !one.Paused || !one.Config.Until.Equal(heldUntil) {
					continue
				}
				if err := c.pause(ctx, one, w.Paused[stream+"/"+one.Name]); err != nil {
					failed = append(failed, fmt.Errorf("let consumer %s of stream %s go on: %w", cut(one.Name), stream, err))
					continue
				}
				d.Did = append(d.Did, fmt.Sprintf("consumer %s of stream %s stands as before", cut(one.Name), stream))
			}
		}
		_, back := n.ByHand()
		d.Left = append(d.Left, "by hand, if account "+n.User+" was taken away by hand: "+back)
		return errors.Join(failed...)
	})
	return d, err
}

// Preserve implements Broker. Messages are read by their sequence, past all consumers: nothing is
// delivered, taken or acknowledged.
func (n NATS) Preserve(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	e := collect(sink)
	return e.End(ctx, n.in(ctx, func(c *natsWire, _ string) error {
		for _, name := range n.Streams {
			if err := c.preserve(ctx, e, name); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (c *natsWire) preserve(ctx context.Context, e *platform.Evidence, name string) error {
	before, raw, err := c.stream(ctx, name)
	if errors.Is(err, errNotFound) {
		e.Skip("%s: there is no such stream", name)
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.JSON(platform.FileName("streams", name, ".json"), raw); err != nil {
		return err
	}
	err = e.File(platform.FileName("consumers", name, ".jsonl"), func(w io.Writer) (bool, error) {
		all, err := c.consumers(ctx, name)
		for _, one := range all {
			if err := line(w, one.raw); err != nil {
				return false, err
			}
		}
		return false, err
	})
	if err != nil {
		return err
	}
	return e.File(platform.FileName("messages", name, ".jsonl"), func(w io.Writer) (bool, error) {
		copied, err := c.messages(ctx, name, before, w)
		if err != nil {
			return false, err
		}
		after, _, err := c.stream(ctx, name)
		if err == nil && after == before && copied != before.Messages {
			err = fmt.Errorf("the server gave %d of %d messages", copied, before.Messages)
		}
		return after != before, err
	})
}

type natsStored struct {
	Message *struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Headers []byte    `json:"hdrs"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
}

// messages writes the messages that a stream has, the oldest first.
// https://docs.nats.io/reference/reference-protocols/nats_api_reference#fetching-from-a-stream-by-sequence
func (c *natsWire) messages(ctx context.Context, stream string, s natsState, w io.Writer) (n int64, err error) {
	for seq := s.First; s.Messages > 0 && seq <= s.Last; {
		var answer natsStored
		err := c.api(ctx, "STREAM.MSG.GET", stream, map[string]any{"seq": seq, "next_by_subj": ">"}, &answer)
		var refused natsError
		if errors.As(err, &refused) && refused.Code == 404 { // none after it
			return n, nil
		}
		m := answer.Message
		switch {
		case err != nil:
			return n, err
		case m == nil || m.Seq < seq:
			return n, errors.New("the server gave another message than the one that was asked for")
		case m.Seq > s.Last: // put in since
			return n, nil
		case n == maxMessages:
			return n, platform.ErrFull
		}
		err = line(w, struct {
			Seq     uint64    `json:"seq"`
			Subject value     `json:"subject"`
			Time    time.Time `json:"time"`
			Headers value     `json:"headers,omitempty"`
			Data    value     `json:"data"`
		}{m.Seq, value(m.Subject), m.Time, m.Headers, m.Data})
		if err != nil {
			return n, err
		}
		n++
		if m.Seq == s.Last {
			break
		}
		seq = m.Seq + 1
	}
	return n, nil
}
