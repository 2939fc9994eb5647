package aws

import (
	"strings"
	"testing"
)

func TestParseARN(t *testing.T) {
	for arn, owner := range map[string]string{
		"arn:aws:iam::123456789012:user/deploy":                  "arn:aws:iam::123456789012:user/deploy",
		"arn:aws:iam::123456789012:user/division/team/deploy":    "arn:aws:iam::123456789012:user/deploy",
		"arn:aws:sts::123456789012:assumed-role/deployer/i-0abc": "arn:aws:iam::123456789012:role/deployer",
		"arn:aws:iam::123456789012:root":                         "arn:aws:iam::123456789012:root",
		"arn:aws:sts::123456789012:federated-user/bob":           "arn:aws:iam::123456789012:federated-user/bob",
		"arn:aws-us-gov:iam::123456789012:user/deploy":           "arn:aws-us-gov:iam::123456789012:user/deploy",
		"":                                     "",
		"arn:aws:iam::123456789012":            "",
		"arn:aws:iam::123456789012:user":       "",
		"arn:aws:iam::123456789012:user/":      "",
		"arn:aws:iam::123456789012:user/a\x1b": "",
		"arn:aws:iam::x y:user/a":              "",
		"arn:aws:iam:::user/a":                 "",
	} {
		p, ok := parseARN(arn)
		if ok != (owner != "") || ok && p.owner() != owner {
			t.Errorf("%q: %q, %t; want %q", arn, p.owner(), ok, owner)
		}
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:user/division/deploy")
	f.Add("arn:aws:sts::123456789012:assumed-role/deployer/session")
	f.Fuzz(func(t *testing.T, arn string) {
		p, ok := parseARN(arn)
		if ok && (strings.ContainsAny(p.name, "/\n\x1b*") || p.name == "" && p.kind != "root") {
			t.Errorf("%q gives the name %q", arn, p.name)
		}
	})
}
