package discover

import (
	"fmt"
	"slices"
	"strings"

	"clawback/revoke/credential"
)

// Leak reads credentials that somebody handed over, with no host around them: one a line, as a bare
// value or as NAME=value, a key file of Google's or a private key as a whole. name is what they came
// in. It also returns the numbers of the lines that say nothing: those are the caller's to name a
// kind for.
func Leak(name string, text []byte) (found []Found, unknown []int) {
	trimmed := strings.TrimSpace(string(text))
	if f, ok := wholeFile(name, trimmed); ok {
		return []Found{f}, nil
	}
	settings := parseDotenv(string(text))
	settings = slices.DeleteFunc(settings, func(v setting) bool { return v.comment })
	keys, rest := awsKeys(settings)
	for _, k := range keys {
		found = append(found, Found{Provider: "aws", Kind: k.kind(), Secret: credential.NewSecret(k.parts), Source: at(name, k.first)})
	}
	told := map[int]bool{}
	for _, k := range settings {
		for line := k.line; line <= k.line+strings.Count(k.value, "\n"); line++ {
			told[line] = true
		}
	}
	for _, v := range rest {
		provider, kind, ok := classifyVariable(v.name, v.value)
		if !ok || reference.MatchString(v.value) || placeholder(v.value) {
			unknown = append(unknown, v.line)
			continue
		}
		found = append(found, handed(provider, kind, v.value, at(name, v)))
	}
	for i, line := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		value := strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if told[i+1] || value == "" || strings.HasPrefix(value, "#") {
			continue
		}
		kind, ok := credential.Recognize(value)
		if !ok {
			unknown = append(unknown, i+1)
			continue
		}
		found = append(found, handed(kind.Provider, kind.Name, value, credential.Source{Path: name, Line: i + 1}))
	}
	slices.Sort(unknown)
	return found, unknown
}

func at(name string, v setting) credential.Source {
	return credential.Source{Path: name, Locator: v.name, Line: v.line}
}

func handed(provider, kind, value string, source credential.Source) Found {
	c := candidate{provider: provider, kind: kind, parts: map[string]string{"value": value}, source: source}
	new(scan).identify(&c)
	return Found{Provider: c.provider, Kind: c.kind, Secret: credential.NewSecret(c.parts), Ref: c.ref, Source: source,
		Owner: c.shownOwner(), Expires: c.expires}
}

// wholeFile takes what is one credential as a whole.
func wholeFile(name, text string) (Found, bool) {
	source := credential.Source{Path: name, Line: 1}
	switch {
	case strings.HasPrefix(text, "{") && strings.Contains(text, `"private_key"`):
		return handed("google", "google.service_account", text, source), true
	case strings.HasPrefix(text, "-----BEGIN ") && strings.Contains(text, "PRIVATE KEY-----"):
		return handed("ssh", "ssh.private_key", text, source), true
	}
	return Found{}, false
}

// HandOver is a credential of a kind that somebody named.
func HandOver(kind, value string, source credential.Source) (Found, error) {
	k, ok := credential.Lookup(kind)
	if !ok {
		return Found{}, fmt.Errorf("there is no kind %q of credentials", kind)
	}
	return handed(k.Provider, k.Name, value, source), nil
}
