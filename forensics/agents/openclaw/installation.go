// Package openclaw knows what an OpenClaw installation looks like: where it lives, what its
// files are called, how its service and processes are named. What it reads is the host's claim.
package openclaw

// Installation is one OpenClaw state directory and what belongs to it.
type Installation struct {
	Agent      string   `json:"agent,omitempty"`      // which agent it is of, where that is not OpenClaw
	StateDir   string   `json:"state_dir"`            // slash-separated, below the root, no leading slash
	Config     string   `json:"config,omitempty"`     // its configuration file, where there is one
	Home       string   `json:"home"`                 // home directory of its account, below the root
	User       string   `json:"user,omitempty"`       // name of its account, where passwd tells
	UID        int      `json:"uid"`                  // owner of the state directory, or of the link or unit that leads to it out of Home
	Profile    string   `json:"profile,omitempty"`    // "dev" of ~/.openclaw-dev
	Generation string   `json:"generation"`           // storage generation: "A", "B" or "C"; empty where its file system did not answer
	Workspaces []string `json:"workspaces,omitempty"` // below the root
}

// Problem is something on the host that could not be read, and why.
type Problem struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}
