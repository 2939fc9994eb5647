//go:build !linux

package openclaw

const noAtime = 0
