package discover

import (
	"strings"
)

// awsParts are the names of an access key's parts, in any spelling: AWS_ACCESS_KEY_ID,
// aws_access_key_id, accessKeyId. The longest comes first.
var awsParts = []struct{ name, part string }{
	{"SECRETACCESSKEY", "secret_access_key"},
	{"ACCESSKEYID", "access_key_id"},
	{"SESSIONTOKEN", "session_token"},
	{"SECURITYTOKEN", "session_token"},
}

// awsPart tells which part of an access key a name stands for, and the name's beginning, which the
// parts of one key share: "PRODAWS" of PROD_AWS_ACCESS_KEY_ID.
func awsPart(name string) (part, prefix string) {
	plain := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToUpper(name))
	for _, p := range awsParts {
		if prefix, ok := strings.CutSuffix(plain, p.name); ok {
			return p.part, prefix
		}
	}
	return "", ""
}

// awsKey is an access key put together from settings.
type awsKey struct {
	parts map[string]string
	first setting // the setting that names it: its id, where there is one
}

// awsKeys puts together the access keys among settings of one file and returns the other settings.
// A part that comes a second time begins another key.
func awsKeys(all []setting) (keys []*awsKey, rest []setting) {
	open := map[string]*awsKey{}
	for _, s := range all {
		part, prefix := awsPart(s.name)
		if part == "" {
			rest = append(rest, s)
			continue
		}
		group := s.section + "\x00" + prefix
		if s.comment {
			group += "\x00#"
		}
		k := open[group]
		if k == nil || k.parts[part] != "" {
			k = &awsKey{parts: map[string]string{}, first: s}
			open[group] = k
			keys = append(keys, k)
		}
		k.parts[part] = s.value
		if part == "access_key_id" {
			k.first = s
		}
	}
	kept := keys[:0]
	for _, k := range keys {
		if len(k.parts) == 1 && k.parts["session_token"] != "" {
			rest = append(rest, k.first) // some other service's session
			continue
		}
		kept = append(kept, k)
	}
	return kept, rest
}

// kind tells a temporary key, which dies with its session, from one of a user.
func (k *awsKey) kind() string {
	if k.parts["session_token"] != "" || strings.HasPrefix(k.parts["access_key_id"], "ASIA") {
		return "aws.session"
	}
	return "aws.access_key"
}
