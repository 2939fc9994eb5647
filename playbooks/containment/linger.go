package containment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"clawback/forensics/agents/openclaw"
)

// lingers is where logind keeps which accounts have their services started at boot, without a login
// (loginctl(1)).
const lingers = "var/lib/systemd/linger/"

// lingering are those of the agent's accounts of which that is so.
func (v *visit) lingering() (users []string) {
	seen := map[string]bool{}
	for _, in := range v.installed {
		if in.User == "" || seen[in.User] || strings.Contains(in.User, "/") {
			continue
		}
		seen[in.User] = true
		if info, err := v.disk.Lstat(lingers + in.User); err == nil && info.Mode().IsRegular() {
			users = append(users, in.User)
		}
	}
	return users
}

func (v *visit) linger() (out []Reviver) {
	for _, user := range v.lingering() {
		out = append(out, Reviver{Kind: "linger", Name: user, Detail: "its services start at boot"})
	}
	return out
}

// lingerOff keeps a boot from starting the services of the agent's accounts. Those that run go on.
func (v *visit) lingerOff(paused *[]Reviver) {
	if !v.whole() {
		return
	}
	users := v.lingering()
	if len(users) == 0 {
		return
	}
	v.Linger = unique(append(users, v.Linger...), nil)
	v.problem(v.save())
	for _, user := range users {
		_, err := openclaw.Await(v.disk, lingers+user, func() (struct{}, error) { return struct{}{}, v.root.Remove(lingers + user) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			v.problem(fmt.Errorf("linger of %s: %w", user, err))
			continue
		}
		*paused = append(*paused, Reviver{Kind: "linger", Name: user, Detail: "its services do not start at boot any more", Paused: true})
	}
}

// lingerOn gives back what lingerOff took.
func (v *visit) lingerOn() {
	var kept []string
	for _, user := range v.Linger {
		f, err := v.root.OpenFile(lingers+user, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		switch {
		case err == nil:
			err = f.Close()
		case errors.Is(err, fs.ErrExist): // by somebody else
			err = nil
		}
		if err != nil {
			v.problem(fmt.Errorf("linger of %s: %w", user, err))
			kept = append(kept, user)
		}
	}
	v.Linger = kept
}
