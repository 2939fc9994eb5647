package actions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// inventoried records once what the inventory says of a credential. accounts are whose it is, as far
// as its provider said.
func (r *Response) inventoried(c credential.Credential, rec noter, accounts ...string) {
	r.mu.Lock()
	item, ok := r.Inventory.Lookup(c, accounts...)
	_, known := r.items[c.Fingerprint]
	if ok && !known {
		r.items[c.Fingerprint] = item
	}
	r.mu.Unlock()
	if ok && !known {
		rec.Note(incident.TypeInventoried, incident.Inventoried{Fingerprint: c.Fingerprint, Item: item})
	}
}

// recallInventory takes over what an earlier run knew of a credential, or looks it up anew.
func (r *Response) recallInventory(c *incident.Credential, rec noter) {
	if c.Inventory == nil {
		r.inventoried(c.Credential, rec, c.Account, c.Principal)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items[c.Fingerprint] = *c.Inventory
}

// breaks says what stops when these die, as far as the inventory knows; "" without an inventory.
func (r *Response) breaks(cs []credential.Credential) string {
	r.mu.Lock()
	none := len(r.Inventory.Items) == 0
	r.mu.Unlock()
	if none {
		return ""
	}
	var names []string
	unknown := 0
	for _, c := range cs {
		item, ok := r.item(c)
		if !ok {
			unknown++
			continue
		}
		name := cmp.Or(item.Breaks, item.String())
		if about := cmp.Or(item.Purpose, item.Owner); about != "" {
			name += " (inventory: " + about + ")"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if unknown > 0 {
		names = append(names, fmt.Sprintf("%d not in inventory", unknown))
	}
	if len(names) == 0 {
		return ""
	}
	return "Breaks: " + strings.Join(names, ", ") + "."
}

func (r *Response) item(c credential.Credential) (incident.InventoryItem, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if item, ok := r.items[c.Fingerprint]; ok {
		return item, true
	}
	return r.Inventory.Lookup(c)
}

// errNoInventory means that this response works with no inventory of the desk's.
var errNoInventory = errors.New("this response reads no inventory")

// readInventory reads the inventory anew, and records what it says of what was found.
func (r *Response) readInventory(ctx context.Context) error {
	if r.ReadInventory == nil {
		return errNoInventory
	}
	list, err := r.ReadInventory()
	if err != nil {
		return err
	}
	s, err := foldAll(ctx, r.late.rec.j)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.Inventory = list
	clear(r.items)
	known := maps.Clone(r.late.known)
	r.mu.Unlock()
	r.late.rec.Note(incident.TypeInventory, list)
	for _, c := range s.Credentials {
		named := c.Credential
		named.Secret = known[c.Fingerprint].Secret // which may hold its key id
		r.inventoried(named, r.late.rec, c.Account, c.Principal)
	}
	return nil
}
