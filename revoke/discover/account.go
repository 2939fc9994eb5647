package discover

import (
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover/sift"
)

// Bounds of a search for service accounts: a key's file has about 2,400 bytes.
const (
	maxKeyFile  = 16 << 10
	maxKeyFiles = 100
)

// serviceAccount reports the key of a Google service account whose file lies anywhere with what the file
// says of it, and whether it was one: the key alone would be nobody's.
// Source: https://cloud.google.com/iam/docs/keys-create-delete
func (t *texts) serviceAccount(name string, m sift.Match) bool {
	if m.Rule != "private-key" || len(m.Path) != 1 || m.Path[0].Key != "private_key" || !strings.HasSuffix(name, ".json") {
		return false
	}
	is, read := t.keys[name]
	if read || len(t.keys) >= maxKeyFiles {
		return is
	}
	t.keys[name] = false
	data, err := openclaw.ReadFile(t.root, name, maxKeyFile)
	if err != nil {
		return false // it was searched as text, all of it
	}
	d := &document{at: name, note: noteOf(name)}
	t.parse(d, name, data, nil)
	for _, l := range d.leaves {
		t.keys[name] = t.keys[name] || l.key() == "type" && l.text == "service_account" && len(l.path) == 1
	}
	if t.keys[name] {
		t.document(d, "~/.config/gcloud/application_default_credentials.json", "", nil)
	}
	return t.keys[name]
}
