package tui

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// guarded turns a panic into an error that says where it was.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault(debug.Stack())
		}
	}()
	return do()
}

// fault is the error for a panic, by its place alone: its value may quote anything.
func fault(stack []byte) error {
	seen := false
	lines := strings.Split(string(stack), "\n")
	for i, l := range lines {
		seen = seen || strings.HasPrefix(l, "panic(")
		if seen && strings.HasPrefix(l, "clawback/") && i+1 < len(lines) {
			at, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +")
			return fmt.Errorf("the console: a fault of clawback itself, at %s", at)
		}
	}
	return errors.New("the console: a fault of clawback itself")
}
