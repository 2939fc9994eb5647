package discover

import (
	"slices"

	"clawback/revoke/credential"
)

// store is what the agent keeps in its database under names, and the references to that. Those wait
// until the databases were read, and are reported first: a place tells more of a secret than a name.
type store struct {
	files   []settingsFile
	entries map[string]stored // by name
	waiting []storeReference
	read    bool
}

// stored is one secret of the store.
type stored struct {
	value string
	at    credential.Source
	finds []Found // in it, where it is a document
}

// storeReference is a reference to the store.
type storeReference struct {
	candidate
	alias, id string
}

// stored takes in what references lead to: the entries of the whole team, and a deleted one where it
// is the only one of its name. Source: https://docs.openclaw.ai/gateway/secrets/secretref-contract
func (d *database) stored(r Row, finds []Found) {
	name := r.Cells["name"]
	kind, ok := r.Cells["scope_kind"]
	if name == "" || ok && kind != "team" || r.Cells["scope_id"] != "" || len(d.agent.store.entries) >= maxPerFile {
		return
	}
	if _, there := d.agent.store.entries[name]; there && (deleted(r) != "" || d.note != "") {
		return
	}
	at := credential.Source{Path: d.at, Locator: d.locator(r) + "/value", Note: join(d.note, deleted(r))}
	d.agent.store.entries[name] = stored{r.Cells["value"], at, slices.Clone(finds)}
}

// storeReference reports what a reference to the store leads to, once that is known.
func (r *reader) storeReference(c candidate, alias, id string) {
	ref := storeReference{c, alias, id}
	if st := r.agent.store; !st.read && len(st.waiting) < maxPerFile {
		st.waiting = append(st.waiting, ref)
		return
	}
	r.follow(ref)
}

// storeRead reports the references to the store and then what stands in it.
func (s *scan) storeRead() {
	st := s.agent.store
	st.read = true
	var halves []storeReference // of an access key, which only the entries together make
	for _, ref := range st.waiting {
		if part, _ := awsPart(ref.id); part != "" {
			halves = append(halves, ref)
			continue
		}
		s.follow(ref)
	}
	s.aloud(func() {
		for _, f := range st.files {
			s.settings(f.at, f.vars)
		}
	})
	for _, ref := range halves {
		s.follow(ref)
	}
	st.files, st.waiting = nil, nil
}

// aloud calls f, whose finds are reported even by a search that is for databases only.
func (s *scan) aloud(f func()) {
	defer func(quiet bool) { s.quiet = quiet }(s.quiet)
	s.quiet = false
	f()
}

// follow reports one reference to the store: as one more place of what it leads to.
func (s *scan) follow(ref storeReference) {
	e, ok := s.agent.store.entries[ref.id]
	if !ok || e.value == "" {
		(&reader{scan: s}).unresolved(ref.candidate, "store:"+ref.alias+":"+ref.id, "store reference, and no database that was read has its entry")
		return
	}
	c := ref.candidate
	c.source.Note = join(c.source.Note, "from "+e.at.String(), e.at.Note)
	s.aloud(func() {
		finds := e.finds
		if part, _ := awsPart(ref.id); part != "" && len(finds) == 0 {
			finds = s.holding(e.value)
		}
		for _, f := range finds {
			if f.Source = c.source; s.ctx.Err() == nil {
				s.emit(f)
			}
		}
		if len(finds) == 0 {
			c.parts = map[string]string{"value": e.value}
			s.report(c)
		}
	})
}

// holding is the first find of which a value is a part.
func (s *scan) holding(value string) []Found {
	i := slices.IndexFunc(s.identities, func(f Found) bool {
		return slices.ContainsFunc(f.Secret.Parts(), func(part string) bool {
			return f.Secret.Reveal(part) == value && !companionPart(f.Kind, part)
		})
	})
	if i < 0 {
		return nil
	}
	return s.identities[i : i+1 : i+1]
}
