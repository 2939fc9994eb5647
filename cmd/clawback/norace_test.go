//go:build !race

package main

const (
	atOnce        = "16"
	shortDeadline = "5s"
	drillSpeed    = "20"
	raceDetector  = false
)
