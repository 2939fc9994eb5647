//go:build !linux

package actions

import "errors"

// memory is a folder that is in memory.
func memory() (string, error) {
	return "", errors.New("this system has no folder in memory to read them in")
}
