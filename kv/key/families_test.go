package key

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// Every family that is declared is listed once, in order, and has a name of its own.
func TestFamilies(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "key.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[Family]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Family" {
			declared[Family(spec.Values[0].(*ast.BasicLit).Value[1])] = true
		}
		return true
	})
	if len(declared) != len(Families) {
		t.Errorf("%d families are declared, %d listed", len(declared), len(Families))
	}
	called := map[string]bool{"unknown": true}
	for _, f := range Families {
		if !declared[f] || called[f.Name()] {
			t.Errorf("family %c is %q", byte(f), f.Name())
		}
		called[f.Name()] = true
	}
	if !slices.IsSorted(Families[:]) {
		t.Errorf("families are not in order: %s", string(func() (b []byte) {
			for _, f := range Families {
				b = append(b, byte(f))
			}
			return b
		}()))
	}
}
