package vaultfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"clawback/revoke/fake"
)

// call is one request, and what becomes of it.
type call struct {
	w      http.ResponseWriter
	method string
	path   string // below /v1/
	query  string
	body   map[string]any
	by     *token // that it was made with; nil where there is none, or a dead one
	sent   string // the token's value
}

func (c *call) text(name string) string { s, _ := c.body[name].(string); return s }

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := fake.CallOf(r)
	f.knobs.Answer(w, r, log, func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, log) })
}

func (f *Fake) answer(w http.ResponseWriter, r *http.Request, log *fake.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	log.Action = path
	method := r.Method
	if method == http.MethodPut { // both are an update to Vault, and its own client puts
		method = http.MethodPost
	}
	c := &call{w: w, method: method, path: path, query: r.URL.RawQuery, sent: r.Header.Get("X-Vault-Token")}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.sent = bearer
	}
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if len(raw) > 0 && json.Unmarshal(raw, &c.body) != nil {
		c.refuse(http.StatusBadRequest, "error parsing JSON")
		return
	}
	log.Credential = f.about(c)
	if f.open(c) {
		return
	}
	elsewhere := strings.Trim(r.Header.Get("X-Vault-Namespace"), "/") != f.Namespace
	if t := f.tokens[c.sent]; t != nil && !elsewhere && f.knobs.Live(&t.life) {
		c.by = t
		f.route(c)
		return
	}
	if f.Old {
		c.denied()
		return
	}
	c.refuse(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
}

// about names the credential that a call is about, or made with.
func (f *Fake) about(c *call) string {
	for _, value := range []string{c.text("token"), c.text("secret_id"), c.sent} {
		if t := f.tokens[value]; t != nil {
			return t.masked
		}
		if s := f.secretIDs[value]; s != nil {
			return s.masked
		}
	}
	return ""
}

// open answers what needs no token.
func (f *Fake) open(c *call) bool {
	serial, isCert := strings.CutPrefix(c.path, "pki/cert/")
	switch {
	case isCert && c.method == http.MethodGet:
		f.readCertificate(c, serial)
	case c.path == "pki/crl" && c.method == http.MethodGet:
		f.readList(c)
	case c.path == "auth/approle/login" && c.method == http.MethodPost:
		f.login(c)
	default:
		return false
	}
	return true
}

func (f *Fake) route(c *call) {
	root := slices.Contains(c.by.Policies, "root")
	switch rest, _ := strings.CutPrefix(c.path, "auth/token/"); {
	case rest == "lookup-self" && c.method == http.MethodGet && !c.by.Mute:
		f.tokenData(c, c.sent, c.by)
	case rest == "revoke-self" && c.method == http.MethodPost && !c.by.Mute:
		f.revokeSelf(c)
	case !root:
		c.denied()
	case strings.HasPrefix(c.path, "auth/token/"):
		f.tokenStore(c, rest)
	case strings.HasPrefix(c.path, "sys/leases/"):
		f.leaseStore(c, strings.TrimPrefix(c.path, "sys/leases/"))
	case strings.HasPrefix(c.path, "auth/approle/role/"):
		f.appRole(c, strings.TrimPrefix(c.path, "auth/approle/role/"))
	case strings.HasPrefix(c.path, "pki/"):
		f.pki(c, strings.TrimPrefix(c.path, "pki/"))
	default:
		c.noRoute()
	}
}

func (f *Fake) revokeSelf(c *call) {
	if c.by.Batch {
		c.refuse(http.StatusBadRequest, "batch tokens cannot be revoked")
		return
	}
	f.revokeTree(c.by)
	c.done()
}

func (f *Fake) tokenStore(c *call, rest string) {
	switch {
	case rest == "lookup" && c.method == http.MethodPost:
		if t := f.tokens[c.text("token")]; t != nil && f.knobs.Live(&t.life) {
			f.tokenData(c, c.text("token"), t)
			return
		}
		c.refuse(http.StatusForbidden, "bad token")
	case rest == "lookup-accessor" && c.method == http.MethodPost:
		if t := f.byAccessor(c.text("accessor")); t != nil && f.knobs.Live(&t.life) {
			f.tokenData(c, "", t)
			return
		}
		c.refuse(http.StatusBadRequest, "1 error occurred:\n\t* invalid accessor\n\n")
	case rest == "revoke-accessor" && c.method == http.MethodPost:
		t := f.byAccessor(c.text("accessor"))
		if t == nil || !f.knobs.Live(&t.life) {
			c.reply(map[string]any{"data": nil, "warnings": []string{"No token found with this accessor"}})
			return
		}
		f.revokeTree(t)
		c.done()
	case rest == "accessors" && c.query == "list=true":
		var keys []string
		for _, t := range f.tokens {
			if t.accessor != "" && f.knobs.Live(&t.life) {
				keys = append(keys, t.accessor)
			}
		}
		c.keys(keys)
	default:
		c.noRoute()
	}
}

func (f *Fake) tokenData(c *call, value string, t *token) {
	kind, expires := "service", any(nil)
	if t.Batch {
		kind = "batch"
	}
	if !slices.Contains(t.Policies, "root") {
		expires = t.Created.Add(time.Hour).UTC().Format(time.RFC3339Nano)
	}
	meta := map[string]string(nil)
	if t.Role != "" {
		meta = map[string]string{"role_name": t.Role}
	}
	c.data(map[string]any{
		"accessor": t.accessor, "creation_time": t.Created.Unix(), "creation_ttl": 3600, "display_name": "token",
		"entity_id": t.Entity, "expire_time": expires, "explicit_max_ttl": 0, "id": value, "meta": meta, "num_uses": 0,
		"orphan": t.Orphan, "path": t.Path, "policies": t.Policies, "ttl": 3600, "type": kind,
	})
}

func (f *Fake) leaseStore(c *call, rest string) {
	below, lookup := strings.CutPrefix(rest, "lookup/")
	prefix, revoke := strings.CutPrefix(rest, "revoke-prefix/")
	switch {
	case rest == "lookup" && c.method == http.MethodPost:
		if life := f.leases[c.text("lease_id")]; life != nil && f.knobs.Live(life) {
			now := f.knobs.Now().UTC()
			c.data(map[string]any{
				"id": c.text("lease_id"), "issue_time": now.Format(time.RFC3339Nano), "expire_time": now.Add(time.Hour).Format(time.RFC3339Nano),
				"last_renewal": nil, "renewable": true, "ttl": 3600,
			})
			return
		}
		c.refuse(http.StatusBadRequest, "invalid lease")
	case lookup && c.query == "list=true":
		keys := make(map[string]bool)
		for id, life := range f.leases {
			if name, ok := strings.CutPrefix(id, strings.TrimSuffix(below, "/")+"/"); ok && f.knobs.Live(life) {
				first, _, deeper := strings.Cut(name, "/")
				if deeper {
					first += "/"
				}
				keys[first] = true
			}
		}
		c.keys(sorted(keys))
	case revoke && c.method == http.MethodPost:
		for id, life := range f.leases {
			if id == prefix || strings.HasPrefix(id, strings.TrimSuffix(prefix, "/")+"/") {
				f.knobs.Revoke(life)
			}
		}
		if sync, _ := c.body["sync"].(bool); !sync {
			c.w.WriteHeader(http.StatusAccepted)
			return
		}
		c.done()
	case rest == "count":
		c.data(map[string]any{"lease_count": f.Irrevocable, "counts": map[string]int{}})
	default:
		c.noRoute()
	}
}

func (c *call) denied() {
	c.refuse(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
}

func (c *call) noRoute() {
	c.refuse(http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", c.path))
}

func (c *call) done() {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusNoContent)
}

// keys answers a list, and 404 with no words where there is nothing in it.
func (c *call) keys(keys []string) {
	if len(keys) == 0 {
		c.refuse(http.StatusNotFound)
		return
	}
	slices.Sort(keys)
	c.data(map[string]any{"keys": keys})
}

func (c *call) data(data map[string]any) { c.reply(map[string]any{"data": data, "warnings": nil}) }

func (c *call) reply(body map[string]any) {
	body["request_id"], body["lease_id"], body["renewable"], body["lease_duration"] = fake.GUID(), "", false, 0
	c.write(http.StatusOK, body)
}

func (c *call) refuse(status int, errors ...string) {
	if errors == nil {
		errors = []string{}
	}
	c.write(status, map[string]any{"errors": errors})
}

func (c *call) write(status int, body map[string]any) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(body)
}

func sorted(set map[string]bool) (keys []string) {
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
