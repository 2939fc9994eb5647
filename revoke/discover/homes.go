package discover

import (
	"path"
	"slices"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

// searchHomes reads what the agent's account, and every account whose files it may read, keeps for
// its own tools.
func (s *scan) searchHomes() {
	homes := slices.Concat([]string{s.agent.Home}, slices.DeleteFunc(slices.Clone(s.homes), func(h string) bool { return h == s.agent.Home }))
	s.searchTable(inHome, homes...)
	s.searchTable(inWorkspace, s.agent.Workspaces...)
	s.unread(s.agent.Home)
}

// searchMachine reads what the machine itself holds, and what its processes do.
func (s *scan) searchMachine() {
	s.searchTable(onMachine, ".")
	s.deletedFiles()
}

// awsFile searches a file of the AWS tools: every profile of it.
func (s *scan) awsFile(at string, all []setting) {
	all = s.limit(at, all)
	endpoints := map[string]string{}
	for _, v := range all {
		if v.name == "endpoint_url" {
			endpoints[v.section] = origin(v.value)
		}
	}
	keys, rest := awsKeys(all)
	for _, k := range keys {
		s.report(candidate{provider: "aws", kind: k.kind(), parts: k.parts, guessed: k.first.comment, endpoint: endpoints[k.first.section],
			source: credential.Source{Path: at, Locator: settingLocator(k.first), Line: k.first.line, Note: commentNote(k.first)}})
	}
	for _, v := range rest {
		if v.name == "credential_process" && !v.comment {
			s.report(candidate{provider: "aws", kind: "aws.session", ref: map[string]string{"id": "exec:" + clean(v.section, 100)},
				unresolved: "credential_process, never run", source: credential.Source{Path: at, Locator: settingLocator(v), Line: v.line}})
		}
	}
}

// unread names what may hold credentials in a home and is not understood: a person must look.
func (s *scan) unread(home string) {
	for _, name := range []string{".config/op", ".config/rclone/rclone.conf", ".password-store", ".gnupg/private-keys-v1.d", ".local/share/keyrings", ".config/1Password"} {
		if _, err := openclaw.Resolve(s.root, path.Join(home, name)); err == nil {
			s.note(openclaw.Problem{Path: path.Join(home, name), Reason: "may hold credentials, and is not understood: look at it by hand"})
		}
	}
}
