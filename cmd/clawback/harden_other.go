//go:build !linux

package main

// harden does nothing here.
func harden() {}
