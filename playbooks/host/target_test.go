package host

import (
	"strings"
	"testing"
)

func TestCheckTarget(t *testing.T) {
	for target, ok := range map[string]bool{
		"web-1": true, "root@web-1": true, "deploy.bot@web-1.example.org": true, "10.0.0.5": true, "root@2001:db8::1": true, "_x@h_1": true,
		"": false, "@": false, "root@": false, "@web-1": false,
		"-oProxyCommand=id": false, "root@-oProxyCommand=id": false, "-l@web-1": false,
		"web-1;id": false, "web-1 id": false, "$(id)@web-1": false, "`id`": false, "%h": false, "web\n1": false, "a@b@c": false, "web-1:22": false,
		"ssh://web-1": false, "fe80::1%eth0": false, "'x'": false, strings.Repeat("a", 300): false,
	} {
		if err := checkTarget(target); (err == nil) != ok {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func FuzzCheckTarget(f *testing.F) {
	f.Add("root@web-1")
	f.Fuzz(func(t *testing.T, target string) {
		if checkTarget(target) == nil && (strings.HasPrefix(target, "-") || strings.Contains(target, "@-") || strings.ContainsAny(target, " \t\n'\"`$;&|<>(){}[]*?!\\%/~#=,")) {
			t.Errorf("%q was accepted", target)
		}
	})
}
