package lazyregexp

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryExpressionCompiles finds them in the source: a typo fails here, not when the expression is
// first needed.
func TestEveryExpressionCompiles(t *testing.T) {
	var found int
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		n, err := compileAll(file)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		found += n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 60 {
		t.Errorf("%d expressions were found, which are not all", found)
	}
}

// compileAll compiles the expressions of a file and counts them.
func compileAll(file *ast.File) (n int, err error) {
	if !slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"clawback/revoke/lazyregexp"` }) {
		return 0, nil
	}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || err != nil {
			return err == nil
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || fun.Sel.Name != "New" {
			return true
		}
		if of, ok := fun.X.(*ast.Ident); !ok || of.Name != "lazyregexp" {
			return true
		}
		var expr string
		if expr, err = written(file, call.Args[0]); err == nil {
			_, err = regexp.Compile(expr)
		}
		n++
		return true
	})
	return n, err
}

// written is the text of a literal, of one of the file's constants, or of several that are joined.
func written(file *ast.File, e ast.Expr) (string, error) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return strconv.Unquote(e.Value)
	case *ast.Ident:
		for _, d := range file.Decls {
			group, _ := d.(*ast.GenDecl)
			if group == nil || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				if c := spec.(*ast.ValueSpec); c.Names[0].Name == e.Name && len(c.Values) == 1 {
					return written(file, c.Values[0])
				}
			}
		}
		return "", fmt.Errorf("%s is no constant of this file: write the expression out", e.Name)
	case *ast.BinaryExpr:
		x, errX := written(file, e.X)
		y, errY := written(file, e.Y)
		return x + y, errors.Join(errX, errY)
	}
	return "", fmt.Errorf("an expression is a %T: write it out", e)
}

func TestFaultsAreFound(t *testing.T) {
	for name, line := range map[string]string{
		"a typo":               "var x = lazyregexp.New(`\\A(?:a\\z`)",
		"a typo in a part":     "var x = lazyregexp.New(`\\A` + `[z-a]`)",
		"a typo in a constant": "const c = `(`\nvar x = lazyregexp.New(`\\A` + c)",
		"not written out":      "var x = lazyregexp.New(text)",
		"in a function":        "func f() { g(lazyregexp.New(`*`)) }",
	} {
		t.Run(name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nimport \"clawback/revoke/lazyregexp\"\n"+line, 0)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := compileAll(file); err == nil {
				t.Errorf("%d expressions and no fault", n)
			}
		})
	}
}

func TestRegexp(t *testing.T) {
	p := New(`\A([a-z]+)-[0-9]\z`)
	if !p.MatchString("acme-7") || p.MatchString("acme-77") {
		t.Error("it matches what it should not, or not what it should")
	}
	if m := p.FindStringSubmatch("acme-7"); len(m) != 2 || m[1] != "acme" {
		t.Errorf("groups: %q", m)
	}
	if first, again := p(), p(); first != again {
		t.Error("it is compiled twice")
	}
	defer func() {
		if recover() == nil {
			t.Error("an expression with a typo matches")
		}
	}()
	New(`(`).MatchString("x")
}
