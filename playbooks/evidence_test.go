package playbooks

import (
	"strings"
	"testing"
)

// A playbook that kills the agent has to capture its evidence before.
func TestParseWantsEvidenceBeforeAKill(t *testing.T) {
	const (
		capture = "{id: files, title: Files, uses: evidence.capture, needs: [freeze]}"
		wait    = "{id: wait, title: Wait, uses: person.guide, needs: [files]}"
	)
	stop := func(needs string) string { return "{id: stop, title: Stop, uses: agent.stop, needs: [" + needs + "]}" }
	actions := append([]string{"agent.stop", "evidence.capture"}, someActions...)
	for name, c := range map[string]struct {
		steps []string
		taken bool
	}{
		"captured before":    {[]string{freeze, capture, stop("files")}, true},
		"two steps before":   {[]string{freeze, capture, wait, stop("wait")}, true},
		"nothing captured":   {[]string{freeze, stop("freeze")}, false},
		"captured beside it": {[]string{freeze, capture, stop("freeze")}, false},
		"captured after it":  {[]string{freeze, stop("freeze"), "{id: files, title: Files, uses: evidence.capture, needs: [stop]}"}, false},
	} {
		_, err := Parse("t.yaml", []byte(body(c.steps...)), actions)
		if (err == nil) != c.taken || err != nil && !(strings.Contains(err.Error(), `"stop" kills the agent`) && strings.Contains(err.Error(), "evidence.capture")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
