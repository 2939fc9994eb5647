package main

import (
	"testing"

	"clawback/playbooks/actions"
	"clawback/tui"
)

// Whoever looks at a step is told what it does, not what it is called.
func TestEachActionSaysWhatItDoes(t *testing.T) {
	for _, name := range actions.Names() {
		if tui.Does(name) == "" {
			t.Errorf("nothing says what %s does", name)
		}
	}
}
