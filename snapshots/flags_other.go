//go:build !linux

package snapshots

const noAtime = 0
