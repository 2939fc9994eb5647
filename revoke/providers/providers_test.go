package providers_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// made returns every provider as a responder without any authority has it.
func made(t *testing.T, authority func(context.Context) (revoke.Authority, error)) map[string]revoke.Provider {
	t.Helper()
	all, err := providers.New(func(name string) revoke.Env {
		return revoke.Env{
			HTTP: revoke.NewClient(revoke.Refuse{}), Authority: authority, Settings: settingsOf(name),
			Sleep: fake.Wall{}.Sleep, Now: fake.Wall{}.Now,
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// settingsOf is what a desk writes for a provider that can do nothing without: its fake tells.
func settingsOf(name string) func(into any) error {
	for _, f := range providers.Fakes(fake.Wall{}) {
		if told, ok := f.(interface{ Settings() string }); ok && f.Name() == name {
			return func(into any) error {
				d := yaml.NewDecoder(strings.NewReader(told.Settings()))
				d.KnownFields(true)
				return d.Decode(into)
			}
		}
	}
	return nil
}

// folders lists the folders beside this file, one for each provider.
func folders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestEveryProvider(t *testing.T) {
	names := folders(t)
	if registered := providers.Names(); !slices.Equal(names, registered) {
		t.Fatalf("folders %v, registered %v", names, registered)
	}
	all := made(t, nil)
	fakes := map[string]fake.Provider{}
	for _, f := range providers.Fakes(fake.Wall{}) {
		fakes[f.Name()] = f
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if info, err := os.Stat(filepath.Join(name, name+"fake")); err != nil || !info.IsDir() {
				t.Errorf("it has no folder %sfake", name)
			}
			if !callsSuite(t, name) {
				t.Error("no test of its package calls revoketest.Run")
			}
			p, f := all[name], fakes[name]
			if p == nil || f == nil {
				t.Fatalf("provider %v, fake %v", p, f)
			}
			checkInfo(t, name, p.Info(), f)
		})
	}
}

// checkInfo holds what a provider says of itself against the kinds that exist and against its fake.
func checkInfo(t *testing.T, name string, info revoke.Info, f fake.Provider) {
	t.Helper()
	if info.Name != name || info.Title == "" {
		t.Errorf("it calls itself %q, %q", info.Name, info.Title)
	}
	if len(info.Kinds) == 0 || len(info.Reads) == 0 || info.SelfHosted != (len(info.Hosts) == 0) {
		t.Errorf("it has %d kinds, %d reads, %d hosts, self-hosted %v", len(info.Kinds), len(info.Reads), len(info.Hosts), info.SelfHosted)
	}
	for _, h := range info.Hosts {
		if !slices.Contains(f.Hosts(), h) {
			t.Errorf("it calls %s, which its fake does not serve", h)
		}
	}
	seen := map[string]bool{}
	for _, k := range info.Kinds {
		known, ok := credential.Lookup(k.Kind)
		if !ok || known.Provider != name {
			t.Errorf("its kind %s is one of provider %q", k.Kind, known.Provider)
		}
		if seen[k.Kind] {
			t.Errorf("it lists %s twice", k.Kind)
		}
		seen[k.Kind] = true
		for _, lack := range lacks(k) {
			t.Errorf("%s: %s", k.Kind, lack)
		}
		for _, mint := range k.Mints {
			if _, ok := credential.Lookup(mint); !ok {
				t.Errorf("%s mints %s, which is no kind", k.Kind, mint)
			}
		}
	}
	for _, kind := range f.Kinds() {
		if !seen[kind] {
			t.Errorf("its fake mints %s, which it does not list", kind)
		}
	}
}

// lacks says what a KindInfo does not say.
func lacks(k revoke.KindInfo) (all []string) {
	need := func(ok bool, what string) {
		if !ok {
			all = append(all, what)
		}
	}
	need(strings.HasPrefix(k.Source, "https://"), "no documentation of its revocation")
	if k.Manual {
		need(len(k.Steps) > 0, "no steps for a person")
		need(strings.HasPrefix(k.Link, "https://"), "no link for a person")
		need(!k.SelfRevoking && k.Authority == "", "a person does it, so it needs no authority")
	}
	for _, s := range k.Steps {
		need(strings.TrimSpace(s) != "", "an empty step")
	}
	if k.Unverifiable != "" {
		return all
	}
	need(k.Propagation.Budget > 0 && k.Propagation.Every > 0, "no budget for its proof")
	need(k.Propagation.Every <= k.Propagation.Budget, "its probes are further apart than the budget")
	need(strings.Contains(k.Propagation.Source, "https://"), "no source of the budget")
	names := !strings.Contains(k.Propagation.Source, "names no") && !strings.Contains(k.Propagation.Source, "publishes no")
	need(names || strings.Contains(k.Propagation.Source, "own margin"), "a budget that its source does not name, and that is not called our own margin")
	return all
}

// A check that takes everything proves nothing.
func TestLacks(t *testing.T) {
	all := made(t, nil)
	manual, ok := all["stripe"].Info().Kind("stripe.api_key")
	if !ok || len(lacks(manual)) > 0 {
		t.Fatalf("lacks %v", lacks(manual))
	}
	for name, break_ := range map[string]func(*revoke.KindInfo){
		"source":      func(k *revoke.KindInfo) { k.Source = "" },
		"steps":       func(k *revoke.KindInfo) { k.Steps = nil },
		"empty step":  func(k *revoke.KindInfo) { k.Steps = []string{"Open the link.", " "} },
		"link":        func(k *revoke.KindInfo) { k.Link = "" },
		"authority":   func(k *revoke.KindInfo) { k.Authority = "everything" },
		"budget":      func(k *revoke.KindInfo) { k.Propagation.Budget, k.Propagation.Every = 0, 0 },
		"interval":    func(k *revoke.KindInfo) { k.Propagation.Every = 0 },
		"far apart":   func(k *revoke.KindInfo) { k.Propagation.Every = 2 * k.Propagation.Budget },
		"propagation": func(k *revoke.KindInfo) { k.Propagation.Source = "" },
		"an owner":    func(k *revoke.KindInfo) { k.Propagation.Source = "https://a.test names none" },
	} {
		k := manual
		break_(&k)
		if got := lacks(k); len(got) != 1 {
			t.Errorf("without %s it lacks %q", name, got)
		}
	}
}

// callsSuite reports whether a test file of a package calls revoketest.Run.
func callsSuite(t *testing.T, folder string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	calls := false
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Run" {
				pkg, ok := sel.X.(*ast.Ident)
				calls = calls || ok && pkg.Name == "revoketest"
			}
			return true
		})
	}
	return calls
}

// A responder without any authority gets every provider: what revokes itself still dies. None of
// them does anything before it is asked to.
func TestEmptyAuthority(t *testing.T) {
	none := func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, revoke.ErrNoAuthority }
	for name, authority := range map[string]func(context.Context) (revoke.Authority, error){
		"nil":  nil,
		"none": none,
		"lost": func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, errors.New("no such file") },
	} {
		all := made(t, authority)
		if len(all) != len(providers.Names()) {
			t.Errorf("%s: made %d of %d providers", name, len(all), len(providers.Names()))
		}
	}
}

// Every environment that New gets is asked for by the provider's own name.
func TestNewAsksByName(t *testing.T) {
	var asked []string
	_, err := providers.New(func(name string) revoke.Env {
		asked = append(asked, name)
		return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{})}
	})
	slices.Sort(asked)
	if err != nil || !slices.Equal(asked, providers.Names()) {
		t.Errorf("asked for %v, %v", asked, err)
	}
	if _, err := providers.New(func(string) revoke.Env { return revoke.Env{} }); err == nil || !strings.Contains(err.Error(), "provider aws") {
		t.Errorf("without a client: %v", err)
	}
}
