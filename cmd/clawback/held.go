package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"clawback/playbooks/actions"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const heldHint = "keep it elsewhere, and write {env: NAME}, {file: /path}, {command: [program, argument]} or {vault: path#field}"

// settings decodes what the configuration says of one provider. The secrets that it names are read
// when they are needed, where authorities may be used.
func (a *app) settings(provider string, authorities *actions.Authorities) func(into any) error {
	node, ok := a.config.Settings[provider]
	if !ok {
		return nil
	}
	return func(into any) error {
		err := strictly(node, into)
		switch {
		case errors.Is(err, wire.ErrClearText):
			return usage(heldHint, "settings.%s in %s: %w", provider, a.config.file, err)
		case err != nil:
			return fmt.Errorf("settings.%s in %s: %w", provider, a.config.file, err)
		}
		holder, ok := into.(wire.Holder)
		if !ok {
			return nil
		}
		for path, held := range holder.Held() {
			if err := a.keep(held, authorities); err != nil {
				return usage(heldHint, "settings.%s.%s in %s: %w", provider, path, a.config.file, err)
			}
		}
		return nil
	}
}

// strictly decodes a part of the configuration into what has a field for all that it says.
func strictly(node yaml.Node, into any) error {
	text, err := yaml.Marshal(&node)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	return d.Decode(into)
}

// keep tells a secret of the settings how it is read from its place.
func (a *app) keep(held *wire.Held, authorities *actions.Authorities) error {
	var r reference
	if err := strictly(held.Place, &r); err != nil {
		return err
	}
	if r.Login != "" { // whose token would go to another than it was issued for
		return errors.New("a login gives no such secret")
	}
	held.Load = func(ctx context.Context) (credential.Secret, error) {
		if authorities != nil && authorities.Suspect && !authorities.Accepted {
			return credential.Secret{}, actions.ErrRisk
		}
		value, _, err := r.read(ctx, a.env)
		return credential.Value(value), err
	}
	return r.check()
}
