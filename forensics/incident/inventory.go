package incident

import (
	"cmp"
	"slices"
	"strings"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// InventoryItem is what an organisation knows of one credential beforehand. It names the credential
// and holds no secret. The tags of its fields are those of clawback.yaml too.
type InventoryItem struct {
	Provider string   `json:"provider" yaml:"provider"`
	Kind     string   `json:"kind,omitempty" yaml:"kind,omitempty"`       // any, where it is empty
	Masked   string   `json:"masked,omitempty" yaml:"masked,omitempty"`   // "ghp_…1xQz", as clawback shows it
	KeyID    string   `json:"key_id,omitempty" yaml:"key_id,omitempty"`   // as its provider names it
	Account  string   `json:"account,omitempty" yaml:"account,omitempty"` // whose it is: each of its credentials
	Owner    string   `json:"owner,omitempty" yaml:"owner,omitempty"`     // who answers for it
	Purpose  string   `json:"purpose,omitempty" yaml:"purpose,omitempty"`
	Data     []string `json:"data,omitempty" yaml:"data,omitempty"`         // types of data that it reaches
	Breaks   string   `json:"breaks,omitempty" yaml:"breaks,omitempty"`     // what stops when it dies
	Review   string   `json:"review,omitempty" yaml:"review,omitempty"`     // due by this day, "2006-01-02"
	Rotation string   `json:"rotation,omitempty" yaml:"rotation,omitempty"` // likewise
}

// Inventory is what the desk's configuration lists when a run begins.
type Inventory struct {
	Items []InventoryItem `json:"items"`
}

// Inventoried says that a credential is one of the inventory.
type Inventoried struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Item        InventoryItem          `json:"item"`
}

// ID is what names the item. Two items with one ID are about the same credential.
func (i InventoryItem) ID() string {
	return strings.Join([]string{i.Provider, i.Kind, i.Masked, i.KeyID, i.Account}, "\x00")
}

// String names the item as people see it.
func (i InventoryItem) String() string {
	return i.Provider + " " + cmp.Or(i.Masked, i.KeyID, i.Account, i.Kind)
}

// About is what the item says, in a line; "" where it says nothing.
func (i InventoryItem) About() string {
	var parts []string
	for _, p := range [][2]string{
		{"", i.Purpose}, {"owner ", i.Owner}, {"data ", strings.Join(i.Data, ", ")}, {"breaks ", i.Breaks},
		{"review by ", i.Review}, {"rotation by ", i.Rotation},
	} {
		if p[1] != "" {
			parts = append(parts, p[0]+p[1])
		}
	}
	return strings.Join(parts, "; ")
}

// How exactly an item names a credential.
const (
	notNamed = iota
	byAccount
	byMask
	byKeyID
)

// names reports how exactly the item names a credential. accounts are whose the credential is, as
// far as it is known.
func (i InventoryItem) names(c credential.Credential, accounts ...string) int {
	is := func(want string, got ...string) bool { return want != "" && slices.Contains(got, want) }
	keyID := ""
	if k, ok := credential.Lookup(c.Kind); ok && k.NamePart != "" && k.NamePart != "value" {
		keyID = c.Secret.Reveal(k.NamePart) // the part that people know it by: no secret
	}
	switch {
	case i.Provider != c.Provider || i.Kind != "" && i.Kind != c.Kind:
		return notNamed
	case is(i.KeyID, keyID, c.Ref["id"], c.Ref["key_id"]):
		return byKeyID
	case is(i.Masked, c.Masked):
		return byMask
	case is(i.Account, append(accounts, c.Owner, c.Ref["account"], c.Ref["user"])...):
		return byAccount
	}
	return notNamed
}

// Lookup finds the item of a credential: the one that names it most exactly, of those the first.
func (v Inventory) Lookup(c credential.Credential, accounts ...string) (InventoryItem, bool) {
	var found InventoryItem
	best := notNamed
	for _, item := range v.Items {
		if how := item.names(c, accounts...); how > best {
			found, best = item, how
		}
	}
	return found, best > notNamed
}

// NotFound lists what stands in the inventory and was not found.
func (s State) NotFound() []InventoryItem {
	found := make(map[string]bool)
	for _, c := range s.Credentials {
		if c.Inventory != nil {
			found[c.Inventory.ID()] = true
		}
	}
	var missing []InventoryItem
	for _, item := range s.Inventory.Items {
		if !found[item.ID()] {
			missing = append(missing, item)
		}
	}
	return missing
}

func (s *State) foldInventoried(e journal.Entry) error {
	var v Inventoried
	if err := e.Decode(&v); err != nil {
		return err
	}
	return s.change(e, v.Fingerprint, func(c *Credential) { c.Inventory = &v.Item })
}

// openInventory is what somebody has to look for elsewhere: a search that missed it, or an
// inventory that is out of date. Before the search has ended nothing is missing.
func (s State) openInventory() []OpenMatter {
	if s.Declared.Mode != Real || s.Searched == nil {
		return nil
	}
	var open []OpenMatter
	for _, item := range s.NotFound() {
		why := "in the inventory, not found on the host"
		if about := item.About(); about != "" {
			why += ": " + about
		}
		open = append(open, OpenMatter{Kind: MatterInventory, What: item.String(), Why: why,
			Hint: "find out whether the agent held it; if it may have, revoke it; if not, correct the inventory"})
	}
	return open
}
