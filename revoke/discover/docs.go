package discover

import (
	"cmp"
	"slices"

	"clawback/revoke/credential"
)

// Place is one place that is searched, for the documentation.
type Place struct {
	File       string // below the state directory; a home, a workspace or the machine where it begins with "~/", "workspace/" or "/"
	Locator    string // keys joined by dots, "*" for any; empty for the whole file
	Credential string
}

// Places lists every place that is searched.
func Places() []Place {
	rows := slices.Concat(places, databasePlaces)
	all := make([]Place, len(rows))
	for i, p := range rows {
		all[i] = Place{File: p.file, Locator: p.path, Credential: placeCredential(p)}
	}
	for _, name := range sortedKeys(pointers) {
		p := pointers[name]
		what := p.provider + " " + p.kind
		if k, ok := credential.Lookup(p.kind); ok {
			what = p.provider + " " + k.Title
		}
		if p.file != "" {
			what = "read like `" + p.file + "`"
		}
		all = append(all, Place{File: "any environment", Locator: name, Credential: what})
	}
	return all
}

// placeCredential says in words what stands at a place.
func placeCredential(p place) string {
	if k, ok := credential.Lookup(p.kind); ok && p.kind != "unknown" {
		if p.provider == "" || p.provider == "unknown" {
			return k.Title
		}
		return p.provider + " " + k.Title
	}
	switch {
	case p.holds == aManifest:
		return "paths in a vault, certificate identity, secrets"
	case p.holds == aVariable:
		return "variables that are secrets"
	}
	return cmp.Or(p.provider, "its provider's") + " secret"
}
