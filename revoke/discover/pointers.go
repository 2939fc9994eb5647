package discover

import (
	"fmt"
	"path"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

// pointers are variables whose value is no secret and leads to one: to a file, read as the table
// reads file, or, without one, to an identity that the machine's surroundings hand out.
// Sources: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html,
// https://cloud.google.com/docs/authentication/application-default-credentials,
// https://learn.microsoft.com/azure/developer/go/sdk/authentication/credential-chains
var pointers = map[string]struct{ file, provider, kind string }{
	"AWS_SHARED_CREDENTIALS_FILE":            {file: "~/.aws/credentials"},
	"AWS_CONFIG_FILE":                        {file: "~/.aws/config"},
	"AWS_WEB_IDENTITY_TOKEN_FILE":            {file: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
	"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": {file: "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"},
	"AZURE_FEDERATED_TOKEN_FILE":             {file: "/var/run/secrets/azure/tokens/azure-identity-token"},
	"GOOGLE_APPLICATION_CREDENTIALS":         {file: "~/.config/gcloud/application_default_credentials.json"},
	"KUBECONFIG":                             {file: "~/.kube/config"},
	"NPM_CONFIG_USERCONFIG":                  {file: "~/.npmrc"},
	"NETRC":                                  {file: "~/.netrc"},
	"PGPASSFILE":                             {file: "~/.pgpass"},
	"SSH_AUTH_SOCK":                          {file: "/run/user/*/openssh_agent"},
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": {"", "aws", "workload.identity"},
	"AWS_CONTAINER_CREDENTIALS_FULL_URI":     {"", "aws", "workload.identity"},
	"IDENTITY_ENDPOINT":                      {"", "azure", "workload.identity"},
	"MSI_ENDPOINT":                           {"", "azure", "workload.identity"},
}

// pointer follows a variable that leads to a credential, and reports whether it is one.
func (s *scan) pointer(at string, v setting) bool {
	p, ok := pointers[v.name]
	if !ok || v.comment || v.value == "" || reference.MatchString(v.value) {
		return ok && p.file != ""
	}
	if p.file == "" {
		s.report(candidate{provider: p.provider, kind: p.kind, ref: map[string]string{"id": "instance role of this machine"},
			unresolved: "a role that the surroundings give to the process: cut it where it is bound",
			source:     credential.Source{Path: at, Locator: settingLocator(v), Line: v.line}})
		return true
	}
	for i, name := range strings.Split(v.value, ":") { // KUBECONFIG lists several
		if i < 8 && name != "" {
			s.pointed(p.file, s.agent.hostPath(name, s.agent.Home))
		}
	}
	return true
}

func (s *scan) pointed(file, name string) {
	for _, row := range s.places {
		if row.file == file {
			if at, err := openclaw.Resolve(s.root, name); err == nil && s.readable(row, at) {
				s.searchFile(row, name)
			}
			return
		}
	}
}

// unitSecrets reports what a unit hands to its service by other ways than its environment.
// Sources: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Credentials,
// https://docs.podman.io/en/latest/markdown/podman-systemd.unit.5.html
func (s *scan) unitSecrets(at, data string, system bool) {
	line, left := 0, maxEnvFiles
	for text := range strings.Lines(data) {
		line++
		name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
		if !ok || line > maxSettings {
			continue
		}
		value = strings.Trim(value, `"`)
		id, rest, _ := strings.Cut(value, ":")
		c := candidate{provider: variableProvider(id), source: credential.Source{Path: at, Line: line, Locator: locator([]json5.Step{key(name), key(id)})}}
		switch {
		case name == "SetCredential" && rest != "":
			c.parts = map[string]string{"value": rest}
			s.report(c)
		case name == "LoadCredential" && rest != "" && left == 0:
			s.note(openclaw.Problem{Path: at, Reason: fmt.Sprintf("line %d: more than %d credentials are loaded: the rest was not searched", line, maxEnvFiles)})
			return
		case name == "LoadCredential" && rest != "":
			left--
			s.loadCredential(c, s.agent.hostPath(rest, path.Dir(at)), system)
		case name == "LoadCredentialEncrypted", name == "SetCredentialEncrypted", name == "ImportCredential":
			c.unresolved, c.ref = "encrypted for this machine: never decrypted here", map[string]string{"id": "store:systemd:" + clean(id, 200)}
			s.report(c)
		case name == "Secret" && strings.HasSuffix(strings.SplitN(path.Base(at), ".bak", 2)[0], ".container"):
			id, _, _ = strings.Cut(value, ",")
			c.source.Locator = locator([]json5.Step{key(name), key(id)})
			c.provider = variableProvider(strings.ReplaceAll(id, "-", "_"))
			c.unresolved, c.ref = "kept by podman, which is never asked", map[string]string{"id": "store:podman:" + clean(id, 200)}
			s.report(c)
		}
	}
}

// loadCredential reports a file that the service manager reads for a service.
func (s *scan) loadCredential(c candidate, name string, system bool) {
	if system {
		s.agent.given[name] = true
	}
	value, where, err := s.fileSecret(name, "singleValue", "value")
	if err != nil {
		c.unresolved, c.ref = "its file: "+openclaw.ProblemOf("", err).Reason, map[string]string{"id": "file:" + c.source.String()}
		s.report(c)
		return
	}
	where.Note = "named by " + c.source.Locator + " of " + path.Base(c.source.Path)
	c.parts, c.source = map[string]string{"value": value}, where
	s.report(c)
}
