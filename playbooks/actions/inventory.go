package actions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// inventoried records once what the inventory says of a credential. accounts are whose it is, as far
// as its provider said.
func (r *Response) inventoried(c credential.Credential, rec noter, accounts ...string) {
	item, ok := r.Inventory.Lookup(c, accounts...)
	if !ok {
		return
	}
	r.mu.Lock()
	_, known := r.items[c.Fingerprint]
	if !known {
		r.items[c.Fingerprint] = item
	}
	r.mu.Unlock()
	if !known {
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
	if len(r.Inventory.Items) == 0 {
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
	item, ok := r.items[c.Fingerprint]
	r.mu.Unlock()
	if ok {
		return item, true
	}
	return r.Inventory.Lookup(c)
}
