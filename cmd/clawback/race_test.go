//go:build race

package main

// Under the race detector everything takes several times as long, and as much memory.
const (
	atOnce        = "4"   // tests
	shortDeadline = "25s" // that a revocation keeps and its proof does not
	drillSpeed    = "8"
	raceDetector  = true
)
