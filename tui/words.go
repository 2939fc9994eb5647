package tui

// does is what each action does, in a sentence: what it changes, and what not.
var does = map[string]string{
	"host.describe":        "Looks at processes, units, containers and timers. Changes nothing.",
	"agent.freeze":         "Stops every process of the agent where it stands. Kills nothing.",
	"evidence.capture":     "Copies evidence to the desk and seals it there. Reads the host, and changes nothing on it.",
	"evidence.deposit":     "Copies the sealed evidence to the places of the configuration, and reads it back from there.",
	"evidence.disk":        "Has the cloud copy the machine's disks, with tags that say whose evidence they are.",
	"broker.hold":          "Ends the agent's access at the brokers of the configuration, and copies what waits there. Consumes nothing.",
	"platform.isolate":     "Cuts the machine off at its cloud, where root on the machine cannot open it again.",
	"credentials.discover": "Reads the agent's files and processes for credentials, and asks each one's provider whose it is. Ends none.",
	"credentials.revoke":   "Ends every credential at its provider, all at once, and asks each until its death is proved.",
	"credentials.others":   "Ends what other accounts of the host keep, after asking you, and proves it.",
	"agent.stop":           "Kills the agent without a signal that it could answer, and blocks what would start it.",
	"agent.check":          "Waits as long as a restart would take, then looks for processes, ports and units.",
	"host.isolate":         "Cuts the machine off the network, but for the desk's own way in and what is kept.",
	"person.guide":         "Nothing by itself: tells you where to look, and records your words.",
	"person.decide":        "Nothing by itself: records your choice, and the steps that follow from it run.",
	"report.write":         "Writes the report from the record. Changes nothing else.",
}

// Does is what an action does, in a sentence; "" for one that is not known.
func Does(action string) string { return does[action] }
