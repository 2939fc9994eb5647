//go:build !linux

package deposit

import (
	"context"
	"errors"
	"os"
)

func renameNew(folder *os.File, from, to string) error { return linkNew(int(folder.Fd()), from, to) }

func readDirect(context.Context, *os.File, string) (string, int64, error) {
	return "", 0, errors.ErrUnsupported
}

func forget(*os.File) {}
