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
