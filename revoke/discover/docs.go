package discover

import (
	"cmp"
	"slices"

	"clawback/revoke/credential"
)

// Place is one place that is searched, for the documentation.
type Place struct {
	File       string // below the state directory, or a home where it begins with "~/"
	Locator    string // keys joined by dots, "*" for any
	Credential string
}

// Places lists every place of a JSON file or a database that is searched.
func Places() []Place {
	rows := slices.Concat(places, databasePlaces)
	all := make([]Place, len(rows))
	for i, p := range rows {
		name := cmp.Or(p.provider, "its provider's") + " secret"
		if k, ok := credential.Lookup(p.kind); ok && p.kind != "unknown" {
			name = p.provider + " " + k.Title
		}
		all[i] = Place{File: p.file, Locator: p.path, Credential: name}
	}
	return all
}
