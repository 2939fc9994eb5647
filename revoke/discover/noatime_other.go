//go:build !linux

package discover

const noAtime = 0
