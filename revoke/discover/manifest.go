package discover

import (
	"strings"

	"clawback/revoke/lazyregexp"
)

// manifest reports what one value of an agent's manifest names. No specification of that file is
// public: it is read by the words of its keys.
func (r *reader) manifest(l leaf, c candidate) {
	var keys strings.Builder
	for _, st := range l.path {
		keys.WriteString(strings.ToLower(st.Key) + ".")
	}
	words, value := keys.String(), l.text
	vaulted := strings.Contains(words, "vault")
	switch {
	case placeholder(value), strings.HasPrefix(value, "http://"), strings.HasPrefix(value, "https://"):
	case strings.Contains(words, "cert") && r.certificate(l, c):
	case appRole(l.key()):
		c.provider, c.kind = "vault", "vault.approle_secret_id"
		r.value(l, place{holds: aSecret}, c)
	case strings.HasPrefix(value, "spiffe://"), strings.Contains(words, "cert") && strings.Contains(words, "identity"),
		strings.Contains(words, "cert") && strings.HasPrefix(value, "CN="), strings.Contains(words, "certificate."):
		c.provider, c.kind, c.owner = unknown, "certificate.identity", value
		r.unresolved(c, "certificate:"+value, "an identity that a certificate proves: revoke the certificate where it was issued")
	case vaulted && leased.MatchString(value):
		c.provider, c.kind = "vault", "vault.lease"
		r.unresolved(c, strings.TrimPrefix(strings.Trim(value, "/"), "v1/"), "what a vault leased below that path, which is never asked")
	case vaulted && strings.Contains(strings.Trim(value, "/"), "/") && !strings.ContainsAny(value, " \t\n"):
		c.provider, c.kind = "vault", "vault.path"
		r.unresolved(c, "store:vault:"+value, "stands in a vault at that path, which is never asked")
	case secretKey.MatchString(l.key()):
		if !strings.Contains(value, "${") {
			c.parts = map[string]string{"value": value}
			r.report(c)
			return
		}
		r.value(l, place{holds: aSecret}, c)
	default:
		r.unexpected(l)
	}
}

// leased is a path at which a vault makes credentials anew for whoever reads it. What stands at other paths,
// such as those of its key-value stores, it only keeps; static credentials have no lease either.
// Source: https://developer.hashicorp.com/vault/docs/secrets
var leased = lazyregexp.New(`\A/?(?:v1/)?[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}(?:/[0-9A-Za-z_.-]{1,99}){0,4}/(?:creds|sts)/[0-9A-Za-z_][0-9A-Za-z_.@:+-]{0,99}/?\z`)

// appRole reports whether a key is that of an AppRole's secret half.
func appRole(key string) bool {
	return strings.EqualFold(strings.ReplaceAll(strings.ReplaceAll(key, "_", ""), "-", ""), "secretid")
}

// serialNumber is that of a certificate, as tools print it: pairs of hex digits.
var serialNumber = lazyregexp.New(`\A[0-9A-Fa-f]{2}(?:[:-]?[0-9A-Fa-f]{2}){1,31}\z`)

// certificate reports the certificate whose serial number stands in l's object, with its private key where
// that is there or in a file that is named there, and whether there is one: its other values say no more.
func (r *reader) certificate(l leaf, c candidate) bool {
	object := l.parent()
	first := func(keys ...string) (string, leaf) {
		for _, k := range keys {
			if v, ok := r.sibling(object, k); ok && v.str && !placeholder(v.text) {
				return v.text, v
			}
		}
		return "", leaf{}
	}
	serial, at := first("serial", "serial_number", "serialNumber")
	if !serialNumber.MatchString(serial) {
		return false
	}
	if r.joined[object] {
		return true
	}
	r.joined[object] = true
	c.provider, c.kind, c.source = "vault", "vault.certificate", r.source(at)
	c.owner, _ = first("spiffe", "spiffe_id", "identity", "uri", "common_name", "cn", "subject", "name")
	key, _ := first("private_key", "privateKey", "key", "key_pem", "private_key_path", "privateKeyPath", "private_key_file", "keyFile", "key_file", "key_path", "keyPath")
	if name, _, ok := r.expand(key, candidate{}); ok && key != "" && !strings.Contains(name, "-----BEGIN ") {
		key, _, _ = r.fileSecret(r.agent.hostPath(name, r.doc.base()), "singleValue", "value") // without it, it is named all the same
	}
	if strings.Contains(key, "PRIVATE KEY-----") {
		c.parts, c.ref = map[string]string{"private_key": key}, map[string]string{"id": serial}
		r.report(c)
		return true
	}
	r.unresolved(c, serial, "a certificate, whose key was not found: revoke it where it was issued")
	return true
}

// roleIDFile adds the id of its role to an AppRole's secret-id that stands in a file of its own: tools keep
// the two side by side, under names that differ in one word.
// Source: https://developer.hashicorp.com/vault/docs/agent-and-proxy/autoauth/methods/approle
func (r *reader) roleIDFile(c *candidate) {
	if r.doc.row != "" || c.kind != "vault.approle_secret_id" || c.source.Locator != "" {
		return
	}
	i := strings.LastIndex(r.doc.at, "secret")
	if i < 0 {
		return
	}
	role, _, err := r.fileSecret(r.doc.at[:i]+"role"+r.doc.at[i+len("secret"):], "singleValue", "value")
	if err == nil {
		c.complete(func(key string) string { return map[string]string{"role_id": role}[key] })
	}
}
