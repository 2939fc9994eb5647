//go:build !linux

package snapshots

import "errors"

func routingRules(*trail) ([]byte, error) { return nil, errors.ErrUnsupported }

func ruleset(*trail) ([]byte, error) { return nil, errors.ErrUnsupported }
