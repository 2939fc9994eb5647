package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"clawback/playbooks/platform"
	"clawback/snapshots"
)

// RabbitMQ is a server by its management API. It has no pause for a queue.
// https://www.rabbitmq.com/docs/http-api-reference
type RabbitMQ struct {
	Called    string
	Place     Place // of the management API
	Vhost     string
	User      string   // the agent's
	Queues    []string // classic ones
	Authority Authority
}

var _ Broker = RabbitMQ{}

func (r RabbitMQ) Name() string  { return r.Called }
func (r RabbitMQ) Where() string { return "rabbitmq " + r.Place.Address }
func (r RabbitMQ) Agent() string { return r.User }

func (r RabbitMQ) ByHand() (cut, back string) {
	return fmt.Sprintf("rabbitmqctl clear_permissions -p %s %s, then rabbitmqctl close_all_user_connections %s clawback", r.Vhost, r.User, r.User),
		fmt.Sprintf("rabbitmqctl set_permissions and set_user_tags for %s, as the record says that they were", r.User)
}

// maxGet bounds the messages of one queue: the server reads all of them at once.
var maxGet = int64(64 << 20)

// settle is how long a connection that was made before the cut may take to show.
var settle = time.Second

type rabbitPermission struct {
	Vhost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// rabbitWas is what Restore has to know.
type rabbitWas struct {
	Permissions []rabbitPermission `json:"permissions"`
	Tags        []string           `json:"tags"`
}

// rabbitUser is an account. Its password's hash is read to be sent back, and kept nowhere.
type rabbitUser struct {
	Hash      string   `json:"password_hash"`
	Algorithm string   `json:"hashing_algorithm"`
	Tags      []string `json:"tags"`
}

// statusError is an answer that says no, without its words.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("it answered %d %s", int(e), http.StatusText(int(e)))
}

var errNotFound = errors.New("there is none")

// rabbit is one conversation with the API.
type rabbit struct {
	client *http.Client
	base   string
	access Access
}

func (r RabbitMQ) open(ctx context.Context) (*rabbit, error) {
	access, err := r.Authority(ctx)
	if err == nil && access.User == r.User {
		err = ErrOwn
	}
	if err == nil {
		err = r.Place.Check()
	}
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if r.Place.Plain {
		scheme = "http"
	}
	return &rabbit{base: scheme + "://" + r.Place.Address + "/api", access: access, client: &http.Client{
		Transport:     &http.Transport{TLSClientConfig: r.Place.tls(), TLSHandshakeTimeout: maxConnecting, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// path joins parts of a path, each of which may hold slashes.
func path(parts ...string) (out string) {
	for _, p := range parts {
		out += "/" + url.PathEscape(p)
	}
	return out
}

// send sends a request and hands its answer to take, where it is a good one.
func (c *rabbit) send(ctx context.Context, wait time.Duration, method, at string, body any, take func(io.Reader) error) error {
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(asking, method, c.base+at, bytes.NewReader(text))
	if err != nil {
		return errors.New("the address is none")
	}
	req.SetBasicAuth(c.access.User, c.access.Password)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Reason", "clawback")
	answer, err := c.client.Do(req)
	if err != nil {
		var asked *url.Error
		if errors.As(err, &asked) {
			err = asked.Err
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	switch s := answer.StatusCode; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrRefused, statusError(s))
	case s == http.StatusNotFound:
		return errNotFound
	case s < 200 || s > 299:
		return statusError(s)
	case take == nil:
		return nil
	}
	return take(answer.Body)
}

// get reads an answer of bounded size into v.
func (c *rabbit) get(ctx context.Context, at string, v any) error {
	return c.send(ctx, askWait, http.MethodGet, at, nil, func(body io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(body, int64(maxAnswer)+1))
		switch {
		case err != nil:
			return err
		case len(b) > maxAnswer:
			return ErrTooLarge
		case json.Unmarshal(b, v) != nil:
			return errors.New("its answer is not in the form of RabbitMQ's management API")
		}
		return nil
	})
}

func (c *rabbit) do(ctx context.Context, method, at string, body any) error {
	return c.send(ctx, askWait, method, at, body, nil)
}

// account reads how the agent's account stands.
func (r RabbitMQ) account(ctx context.Context, c *rabbit) (u rabbitUser, was rabbitWas, err error) {
	if err = c.get(ctx, "/users"+path(r.User), &u); err == nil {
		err = c.get(ctx, "/users"+path(r.User)+"/permissions", &was.Permissions)
	}
	if errors.Is(err, errNotFound) {
		err = ErrNoAgent
	}
	if err != nil {
		return u, was, fmt.Errorf("look at user %s: %w", r.User, err)
	}
	was.Tags = u.Tags
	return u, was, nil
}

type rabbitConnection struct {
	Name string `json:"name"`
	User string `json:"user"`
	Host string `json:"peer_host"`
	Port int    `json:"peer_port"`
}

func (r RabbitMQ) connections(ctx context.Context, c *rabbit) (live []rabbitConnection, others []string, err error) {
	var all []rabbitConnection
	if err := c.get(ctx, "/connections?columns=name,user,peer_host,peer_port", &all); err != nil {
		return nil, nil, fmt.Errorf("list the connections: %w", err)
	}
	count := make(map[string]int)
	for _, conn := range all {
		if conn.User == r.User {
			live = append(live, conn)
		} else {
			count[cut(conn.User)]++
		}
	}
	for _, user := range slices.Sorted(maps.Keys(count)) {
		others = append(others, fmt.Sprintf("user %s: connections: %d", user, count[user]))
	}
	return live, listed(others), nil
}

type rabbitQueue struct {
	Type     string `json:"type"`
	Messages *int64 `json:"messages"`
}

func (r RabbitMQ) queue(ctx context.Context, c *rabbit, name string) (Queue, error) {
	var q rabbitQueue
	err := c.get(ctx, "/queues"+path(r.Vhost, name)+"?columns=type,messages", &q)
	switch {
	case errors.Is(err, errNotFound):
		return Queue{Name: name, Kind: "none"}, nil
	case err != nil:
		return Queue{}, fmt.Errorf("queue %s: %w", name, err)
	case q.Messages == nil: // its statistics come a few seconds later
		return Queue{Name: name, Kind: cut(q.Type), Messages: -1}, nil
	}
	return Queue{Name: name, Kind: cut(q.Type), Messages: *q.Messages}, nil
}

// Look implements Broker.
func (r RabbitMQ) Look(ctx context.Context) (s Standing, err error) {
	c, err := r.open(ctx)
	if err != nil {
		return s, err
	}
	s.Who = c.access.User
	_, was, err := r.account(ctx, c)
	if err != nil {
		return s, err
	}
	s.Off = len(was.Permissions) == 0 && len(was.Tags) == 0
	live, others, err := r.connections(ctx, c)
	if err != nil {
		return s, err
	}
	for _, conn := range live {
		s.Live = append(s.Live, fmt.Sprintf("%s:%d", cut(conn.Host), conn.Port))
	}
	s.Live, s.Others = listed(s.Live), others
	for _, name := range r.Queues {
		q, err := r.queue(ctx, c, name)
		if err != nil {
			return s, err
		}
		s.Queues = append(s.Queues, q)
	}
	s.Was, err = json.Marshal(was)
	return s, err
}

// Cut implements Broker. An account without a permission on any virtual host is refused on all of
// them; its tags would let it give itself permissions.
func (r RabbitMQ) Cut(ctx context.Context) (d Done, err error) {
	c, err := r.open(ctx)
	if err != nil {
		return d, err
	}
	u, was, err := r.account(ctx, c)
	if err != nil {
		return d, err
	}
	if len(u.Tags) > 0 {
		if err := r.tag(ctx, c, u, nil); err != nil {
			return d, fmt.Errorf("take the tags of user %s away: %w", r.User, err)
		}
		d.Did = append(d.Did, "tags of user "+r.User+" taken away: "+strings.Join(was.Tags, ", "))
	}
	for _, p := range was.Permissions {
		if err := c.do(ctx, http.MethodDelete, "/permissions"+path(p.Vhost, r.User), nil); err != nil && !errors.Is(err, errNotFound) {
			return d, fmt.Errorf("take the permissions of user %s on virtual host %s away: %w", r.User, p.Vhost, err)
		}
		d.Did = append(d.Did, "permissions of user "+r.User+" on virtual host "+p.Vhost+" taken away")
	}
	ended := 0
	end := func(ctx context.Context) (int, error) {
		live, _, err := r.connections(ctx, c)
		for _, conn := range live {
			if err := c.do(ctx, http.MethodDelete, "/connections"+path(conn.Name), nil); err != nil && !errors.Is(err, errNotFound) {
				return 0, fmt.Errorf("end a connection of user %s: %w", r.User, err)
			}
			ended++
		}
		return len(live), err
	}
	if err = await(ctx, end); err == nil {
		select {
		case <-time.After(settle):
			err = await(ctx, end)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	d.Did = append(d.Did, fmt.Sprintf("ends of the agent's connections asked for: %d", ended))
	return d, err
}

// tag gives an account tags, and the password that it has.
func (r RabbitMQ) tag(ctx context.Context, c *rabbit, u rabbitUser, tags []string) error {
	return c.do(ctx, http.MethodPut, "/users"+path(r.User), map[string]string{
		"password_hash": u.Hash, "hashing_algorithm": u.Algorithm, "tags": strings.Join(tags, ",")})
}

// Hold implements Broker: of one queue there is no pause.
func (r RabbitMQ) Hold(ctx context.Context) (d Done, err error) {
	c, err := r.open(ctx)
	if err != nil {
		return d, err
	}
	_, others, err := r.connections(ctx, c)
	d.Left = append(d.Left, "RabbitMQ cannot pause a queue: what other accounts take out of it goes on ("+strings.Join(others, ", ")+")")
	return d, err
}

// Restore implements Broker.
func (r RabbitMQ) Restore(ctx context.Context, was json.RawMessage) (d Done, err error) {
	var w rabbitWas
	if err := json.Unmarshal(was, &w); err != nil {
		return d, fmt.Errorf("how it stood before is not on record: %w", err)
	}
	c, err := r.open(ctx)
	if err != nil {
		return d, err
	}
	u, _, err := r.account(ctx, c)
	if err != nil {
		return d, err
	}
	for _, p := range w.Permissions {
		if err := c.do(ctx, http.MethodPut, "/permissions"+path(p.Vhost, r.User), p); err != nil {
			return d, fmt.Errorf("give user %s its permissions on virtual host %s back: %w", r.User, p.Vhost, err)
		}
		d.Did = append(d.Did, "permissions of user "+r.User+" on virtual host "+p.Vhost+" given back")
	}
	if !slices.Equal(u.Tags, w.Tags) {
		if err := r.tag(ctx, c, u, w.Tags); err != nil {
			return d, fmt.Errorf("give user %s its tags back: %w", r.User, err)
		}
		d.Did = append(d.Did, "tags of user "+r.User+" given back")
	}
	return d, nil
}

// Preserve implements Broker. Messages are got and put back at once, where they were: they are marked
// as delivered before. In a queue of another type that would count against its delivery limit.
func (r RabbitMQ) Preserve(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	e := collect(sink)
	return e.End(ctx, r.preserve(ctx, e))
}

func (r RabbitMQ) preserve(ctx context.Context, e *platform.Evidence) error {
	s, err := r.Look(ctx)
	if err != nil {
		return err
	}
	if err := e.JSON("queues.json", s.Queues); err != nil {
		return err
	}
	c, err := r.open(ctx)
	if err != nil {
		return err
	}
	for _, q := range s.Queues {
		if q.Kind != "classic" {
			e.Skip("%s: nothing is copied of the type %s", q.Name, q.Kind)
			continue
		}
		if err := e.File(platform.FileName("messages", q.Name, ".jsonl"), func(w io.Writer) (bool, error) {
			return false, r.messages(ctx, c, q.Name, w)
		}); err != nil {
			return err
		}
	}
	return nil
}

// messages writes the messages of a queue, the one that is next first.
func (r RabbitMQ) messages(ctx context.Context, c *rabbit, name string, w io.Writer) error {
	want := map[string]any{"count": maxMessages + 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
	return c.send(ctx, 6*askWait, http.MethodPost, "/queues"+path(r.Vhost, name)+"/get", want, func(body io.Reader) error {
		limited := &io.LimitedReader{R: body, N: maxGet}
		d := json.NewDecoder(limited)
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return errors.New("its answer is not in the form of RabbitMQ's management API")
		}
		for n := int64(0); d.More(); n++ {
			if n == maxMessages {
				return platform.ErrFull
			}
			var m json.RawMessage
			if err := d.Decode(&m); err != nil {
				if limited.N == 0 {
					return platform.ErrFull
				}
				return errors.New("its answer ends too early")
			}
			if err := line(w, m); err != nil {
				return err
			}
		}
		if limited.N == 0 {
			return platform.ErrFull
		}
		return nil
	})
}
