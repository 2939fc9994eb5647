package discover

import (
	"fmt"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

// gcloudTables are what the Google Cloud CLI keeps its accounts in: what each logged in with, as JSON,
// and the access token that it got last.
// Source: https://cloud.google.com/sdk/docs/authorizing, google-cloud-sdk lib/googlecloudsdk/core/credentials/creds.py
var gcloudTables = []Table{
	{Name: "credentials", Columns: []string{"value"}},
	{Name: "access_tokens", Columns: []string{"access_token", "token_expiry"}},
}

// gcloud reads one of the databases of the Google Cloud CLI.
func (s *scan) gcloud(name, at string) {
	s.perFile = 0
	found := 0
	problems := s.readDatabase(s.ctx, s.root, at, gcloudTables, func(r Row) {
		if found++; found > maxPerFile {
			return
		}
		d := database{scan: s, at: at, tables: gcloudTables}
		account, row := r.Cells["account_id"], d.locator(r)
		if r.Table == "access_tokens" {
			s.report(candidate{provider: "google", kind: unknown, parts: map[string]string{"value": r.Cells["access_token"]}, owner: account,
				expires: moment(r.Cells["token_expiry"]), source: credential.Source{Path: at, Locator: row + "/access_token"}})
			return
		}
		doc := &document{at: at, row: row + "/value/"}
		d.parse(doc, fmt.Sprintf("%s (%s/value)", at, row), []byte(r.Cells["value"]), nil)
		doc.leaves = append(doc.leaves, leaf{path: []json5.Step{key("account")}, text: account, str: true})
		for i := range doc.leaves { // a row has no lines
			doc.leaves[i].line = 0
		}
		s.document(doc, "~/.config/gcloud/application_default_credentials.json", "", nil)
	})
	for _, problem := range problems {
		s.note(openclaw.Problem{Path: name, Reason: problem})
	}
	s.summary.Files++
}
