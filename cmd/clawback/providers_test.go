package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"clawback/revoke"
)

// filled returns a value whose every field says its own name, all the way down.
func filled(t reflect.Type, name string) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		v.SetString("says-" + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Int64:
		v.SetInt(int64(90 * time.Second))
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem(), name)))
	case reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(filled(t.Field(i).Type, name+"."+t.Field(i).Name))
		}
	}
	return v
}

// Whatever a provider says of itself is in the JSON, and what is said in words is in the text.
func TestProvidersTellAll(t *testing.T) {
	info := filled(reflect.TypeFor[revoke.Info](), "info").Interface().(revoke.Info)
	c := covers(info, "https://pinned.example.com", []string{"a_setting"})
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range append(words(reflect.ValueOf(info)), `"self_hosted":true`, `"self_revoking":true`, `"by_reference":true`, `"manual":true`,
		`"reversible":true`, `"payment":true`, `"needs_alive":true`, `"refusals":7`, `"budget_seconds":90`, `"every_seconds":90`,
		`"refused_probes_an_hour":7`, "pinned.example.com", "a_setting") {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	for kind, k := range map[string]revoke.KindInfo{"whole": info.Kinds[0], "provable": {Propagation: info.Kinds[0].Propagation}} {
		var out strings.Builder
		if err := printCoverage(&out, []coverage{{Kinds: []kindCoverage{coversKind(k)}}}); err != nil {
			t.Fatal(err)
		}
		for _, want := range words(reflect.ValueOf(k)) {
			if proved := strings.Contains(want, "Propagation"); !strings.Contains(out.String(), want) && proved == (k.Unverifiable == "") {
				t.Errorf("%s: %s is not in\n%s", kind, want, out.String())
			}
		}
	}
}

// words are the texts in a value.
func words(v reflect.Value) (all []string) {
	switch v.Kind() {
	case reflect.String:
		return []string{v.String()}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, words(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, words(v.Field(i))...)
		}
	}
	return all
}

// What is printed of the real ones fits a terminal of 80 columns: nothing but a single long word,
// which nobody could copy if it were broken, goes beyond.
func TestProvidersFitATerminal(t *testing.T) {
	all, err := (&app{}).coverages()
	if err != nil {
		t.Fatal(err)
	}
	var overview, whole strings.Builder
	if err := printOverview(&overview, all); err != nil {
		t.Fatal(err)
	}
	if err := printCoverage(&whole, all); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(overview.String(), "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("overview: %s", line)
		}
	}
	for line := range strings.SplitSeq(whole.String(), "\n") {
		if words := strings.Fields(line); utf8.RuneCountInString(line) > 80 && strings.HasPrefix(line, "              ") && len(words) > 1 {
			t.Errorf("%s", line)
		}
	}
	for _, c := range all {
		for _, k := range c.Kinds {
			if !strings.Contains(overview.String(), "\n"+k.Kind+" ") || !strings.Contains(whole.String(), "\n"+k.Kind+"\n") {
				t.Errorf("%s is not printed", k.Kind)
			}
		}
	}
}

// Each setting that a provider takes is known, whatever it is made of.
func TestSettingsAreListed(t *testing.T) {
	type deep struct {
		Yes  bool              `yaml:"yes"`
		List []string          `yaml:"list"`
		Map  map[string]string `yaml:"map"`
		Rule []struct {
			Status int `yaml:"status"`
		} `yaml:"rule"`
		Plain int
		Left  int `yaml:"-"`
		own   int
	}
	_ = deep{}.own
	got := fmt.Sprint(fieldNames(reflect.TypeFor[*map[string]*deep](), ""))
	if want := "[NAME.yes NAME.list NAME.map NAME.rule.status NAME.plain]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if takes := settingsTaken(); len(takes["vault"]) < 3 || len(takes["oauth2"]) < 3 {
		t.Errorf("%v", takes)
	}
}

func TestSecondsForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Minute: "1m", 90 * time.Second: "1m30s", 2 * time.Hour: "2h", 23 * time.Minute: "23m", 10 * time.Second: "10s", 20 * time.Minute: "20m"} {
		if got := seconds(d).String(); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
