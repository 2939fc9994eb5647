package discover

import (
	"errors"
	"path"
	"strings"

	"clawback/forensics/agents/openclaw"
)

// maxLogs bounds the log files that a configuration may name.
const maxLogs = 16

// logs hands on the logs that the configuration puts elsewhere, with what they were rotated to: of such
// a directory, which may be the machine's, no other file.
func (t *texts) logs(each func(in *folder, name string)) {
	for _, log := range sortedKeys(t.agent.logs) {
		if at, err := openclaw.Resolve(t.root, log); err == nil {
			log = at
		}
		dir, err := openclaw.Resolve(t.root, path.Dir(log))
		switch {
		case errors.Is(err, openclaw.ErrSilent): // reported once for all that lies there
			continue
		case err != nil:
			t.trouble(log, err)
			continue
		case t.walked[walker{t.agent.UID, dir}]:
			continue
		}
		ext := path.Ext(log)
		stem := strings.TrimSuffix(path.Base(log), ext)
		t.list(dir, func(in *folder, name string) {
			if base := path.Base(name); strings.HasPrefix(base, stem) && strings.Contains(base, ext) && !t.logged[name] {
				t.logged[name] = true
				each(in, name)
			}
		})
	}
}
