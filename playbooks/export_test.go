package playbooks

// Bounds, for tests.
const (
	MaxPlaybook = maxPlaybook
	MaxSteps    = maxSteps
)
