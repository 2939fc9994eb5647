package main

import (
	"os"
	"strings"
)

// environment is what the process was started with. Authorities may stand in it, so it is taken
// out of the process: children get the few variables that they need.
type environment map[string]string

// kept are the variables that stay: who and where we are, the terminal, what ssh needs, and where the
// tools that print an authority have their logins and servers. None of them is a secret.
var kept = []string{
	"HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
	"TERM", "COLORTERM", "NO_COLOR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR",
	"SSH_AUTH_SOCK", "SSH_CONNECTION", "SSH_TTY", "CLAWBACK_CONFIG",
	"VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_CAPATH", "AZURE_CONFIG_DIR", "CLOUDSDK_CONFIG",
}

// scrubEnvironment empties the process's environment but for what is kept, and returns all of it.
// PATH becomes a fixed one: a library of ours asks for uname, and on a suspect host PATH is not ours.
func scrubEnvironment() environment {
	env := make(environment)
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	os.Clearenv()
	for _, name := range kept {
		if value, ok := env[name]; ok {
			_ = os.Setenv(name, value)
		}
	}
	_ = os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return env
}
