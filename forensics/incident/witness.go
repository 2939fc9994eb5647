package incident

// WitnessWord says what a sink of a kind is known to have done with what it was given, and no more:
// "was sent", "accepted" or "holds".
func WitnessWord(kind string) string {
	switch kind {
	case "dir", "s3":
		return "holds"
	case "https":
		return "accepted" // the receiver answered so
	}
	return "was sent" // syslog has no acknowledgement
}

// WitnessHeld is how much of the record a sink off the host was given.
type WitnessHeld struct {
	Sink       string `json:"sink"`
	Kind       string `json:"kind"`
	Entries    uint64 `json:"entries"`    // up to this one
	Checkpoint uint64 `json:"checkpoint"` // size of the newest checkpoint that it was given; 0 for none
	Error      string `json:"error,omitempty"`
}
