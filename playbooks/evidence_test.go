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
	actions := append([]string{"agent.stop", "evidence.capture", "credentials.revoke"}, someActions...)
	revoke := "{id: revoke, title: Revoke, uses: credentials.revoke, needs: [freeze]}"
	memory := func(needs string) string {
		return "{id: memory, title: Memory, uses: evidence.capture, with: {part: memory}, needs: [" + needs + "]}"
	}
	for name, c := range map[string]struct {
		steps []string
		taken bool
	}{
		"captured before":    {[]string{freeze, capture, stop("files")}, true},
		"two steps before":   {[]string{freeze, capture, wait, stop("wait")}, true},
		"nothing captured":   {[]string{freeze, stop("freeze")}, false},
		"captured beside it": {[]string{freeze, capture, stop("freeze")}, false},
		"captured after it":  {[]string{freeze, stop("freeze"), "{id: files, title: Files, uses: evidence.capture, needs: [stop]}"}, false},
		"only the memory":    {[]string{freeze, revoke, memory("revoke"), stop("memory")}, false},
	} {
		_, err := Parse("t.yaml", []byte(body(c.steps...)), actions)
		if (err == nil) != c.taken || err != nil && !(strings.Contains(err.Error(), `"stop" kills the agent`) && strings.Contains(err.Error(), "evidence.capture")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An image of the memory takes long: the credentials die first.
func TestParseWantsRevocationBeforeMemory(t *testing.T) {
	const (
		revoke = "{id: revoke, title: Revoke, uses: credentials.revoke, needs: [freeze]}"
		memory = "{id: memory, title: Memory, uses: evidence.capture, with: {part: memory}, needs: [NEEDS]}"
	)
	actions := append([]string{"evidence.capture", "credentials.revoke"}, someActions...)
	for needs, taken := range map[string]bool{"revoke": true, "freeze": false} {
		_, err := Parse("t.yaml", []byte(body(freeze, revoke, strings.ReplaceAll(memory, "NEEDS", needs))), actions)
		if (err == nil) != taken || err != nil && !strings.Contains(err.Error(), `"memory" images the memory while the credentials are alive`) {
			t.Errorf("after %s: %v", needs, err)
		}
	}
}
