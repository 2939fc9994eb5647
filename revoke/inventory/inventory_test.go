package inventory

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// token makes a value that looks like a secret of GitHub's.
func token() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b)
	return "ghp_" + hex.EncodeToString(b)
}

func whole() incident.InventoryItem {
	return incident.InventoryItem{
		Provider: "github", Kind: "github.pat", Masked: "ghp_…1xQz", Owner: "platform team", Purpose: "production deploys",
		Data: []string{"source code"}, Breaks: "deploy-bot", Review: "2026-12-01", Rotation: "2027-03-01",
	}
}

func TestCheck(t *testing.T) {
	secret := token()
	for name, c := range map[string]struct {
		edit func(*incident.InventoryItem)
		says string // "" for what is whole
	}{
		"whole":                {func(*incident.InventoryItem) {}, ""},
		"a key id":             {func(i *incident.InventoryItem) { i.Masked, i.KeyID = "", "AKIA"+strings.Repeat("A", 16) }, ""},
		"an account":           {func(i *incident.InventoryItem) { i.Masked, i.Account, i.Kind = "", "acct_1", "" }, ""},
		"no provider":          {func(i *incident.InventoryItem) { i.Provider = "" }, "provider is missing"},
		"a provider's title":   {func(i *incident.InventoryItem) { i.Provider = "GitHub" }, "provider is missing"},
		"an unknown kind":      {func(i *incident.InventoryItem) { i.Kind = "github.patt" }, "kind"},
		"another's kind":       {func(i *incident.InventoryItem) { i.Kind = "slack.bot" }, "kind"},
		"nothing names it":     {func(i *incident.InventoryItem) { i.Masked = "" }, "nothing names the credential"},
		"a mask of no end":     {func(i *incident.InventoryItem) { i.Masked = "ghp_…" }, "masked"},
		"a mask of its own":    {func(i *incident.InventoryItem) { i.Masked = "ghp_****" }, "masked"},
		"no day":               {func(i *incident.InventoryItem) { i.Review = "next spring" }, "review is not a day"},
		"no such day":          {func(i *incident.InventoryItem) { i.Rotation = "2026-02-30" }, "rotation is not a day"},
		"an escape":            {func(i *incident.InventoryItem) { i.Owner = "a\x1b[2Jb" }, "owner holds characters"},
		"invalid UTF-8":        {func(i *incident.InventoryItem) { i.Data = []string{"\xff"} }, "data[0] holds characters"},
		"a novel":              {func(i *incident.InventoryItem) { i.Purpose = strings.Repeat("x", maxText+1) }, "purpose has more"},
		"much data":            {func(i *incident.InventoryItem) { i.Data = make([]string, maxData+1) }, "data lists"},
		"a secret":             {func(i *incident.InventoryItem) { i.Masked = secret }, "masked looks like a secret"},
		"a secret in a text":   {func(i *incident.InventoryItem) { i.Purpose = "uses " + secret + ", daily" }, "purpose looks like a secret"},
		"a secret as a key id": {func(i *incident.InventoryItem) { i.KeyID = secret }, "key_id looks like a secret"},
		"a secret provider":    {func(i *incident.InventoryItem) { i.Provider = secret }, "provider looks like a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			item := whole()
			c.edit(&item)
			err := Check([]incident.InventoryItem{item})
			if (err == nil) != (c.says == "") || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Error("the error quotes the secret")
			}
		})
	}
	if err := Check([]incident.InventoryItem{whole(), whole()}); err == nil || !strings.Contains(err.Error(), "inventory[1]") {
		t.Errorf("one credential twice: %v", err)
	}
	if err := Check(make([]incident.InventoryItem, MaxItems+1)); err == nil {
		t.Error("an inventory without end is taken")
	}
}

// A day is over in UTC: what is due today is not overdue.
func TestReview(t *testing.T) {
	item := whole()
	for now, want := range map[string][]string{
		"2026-12-01T23:59:59Z":      nil,
		"2026-12-02T00:00:00Z":      {"review 1"},
		"2026-12-02T00:30:00+01:00": nil,
		"2027-03-11T12:00:00Z":      {"review 100", "rotation 10"},
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range Review([]incident.InventoryItem{item, {Provider: "x", Account: "y"}}, at) {
			got = append(got, fmt.Sprintf("%s %d", o.For, o.Days))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", now, got, want)
		}
	}
}

func TestImport(t *testing.T) {
	secret := token()
	head := "provider,kind,masked,data,breaks,review\n"
	for name, c := range map[string]struct{ src, says string }{
		"whole":            {head + "github,github.pat,ghp_…1xQz,source code; names ,\"deploy, bot\",2026-12-01\n", ""},
		"of a spreadsheet": {"\ufeffProvider,Account\r\ngithub,acme\r\n", ""},
		"empty":            {"", "it is empty"},
		"no such column":   {"provider,secret\nx,y\n", "column 2 of the header"},
		"a column twice":   {"provider,owner,owner\n", "column 3 of the header"},
		"no provider":      {"account\nx\n", "names no column provider"},
		"too many fields":  {"provider,account\ngithub,a,b\n", "line 2: wrong number of fields"},
		"a quote":          {"provider,account\ngithub,\"a\n", "line 2"},
		"nothing names it": {"provider,account\ngithub,a\ngithub,\n", "line 3: nothing names"},
		"a secret":         {"provider,account\ngithub," + secret + "\n", "line 2: account looks like a secret"},
		"a secret on top":  {secret + ",account\n", "column 1 of the header"},
		"one twice":        {"provider,account\ngithub,a\ngithub,a\n", "names the same"},
		"without end":      {"provider,account\n" + strings.Repeat("github,\"a\"\n", MaxFile/8), "more than"},
		"one line, no end": {"provider,account\ngithub," + strings.Repeat("a", 2*MaxFile), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			items, err := Import(strings.NewReader(c.src))
			if (err == nil) != (c.says == "") || !strings.Contains(fmt.Sprint(err), c.says) || strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if name == "whole" && (len(items) != 1 || items[0].Breaks != "deploy, bot" || !slices.Equal(items[0].Data, []string{"source code", "names"})) {
				t.Errorf("%+v", items)
			}
		})
	}
}

func FuzzImport(f *testing.F) {
	f.Add("provider,kind,masked,data\ngithub,github.pat,ghp_…1xQz,a;b\n")
	f.Add("\ufeffprovider,\"account\"\r\nx,\"y\n\"\r\n")
	f.Fuzz(func(t *testing.T, src string) {
		items, err := Import(strings.NewReader(src))
		if err == nil && Check(items) != nil {
			t.Error("what was imported does not hold")
		}
		if err == nil {
			Review(items, time.Unix(0, 0))
		}
	})
}

// What a person writes into clawback.yaml is refused or holds, and never fails otherwise.
func FuzzCheck(f *testing.F) {
	f.Add("github", "github.pat", "ghp_…1xQz", "", "", "x", "2026-12-01")
	f.Fuzz(func(t *testing.T, provider, kind, masked, keyID, account, text, date string) {
		item := incident.InventoryItem{Provider: provider, Kind: kind, Masked: masked, KeyID: keyID, Account: account, Purpose: text, Review: date}
		if Check([]incident.InventoryItem{item}) == nil && len(Review([]incident.InventoryItem{item}, time.Unix(0, 0))) > 1 {
			t.Error("one date is overdue twice")
		}
	})
}
