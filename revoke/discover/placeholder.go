package discover

import (
	"strings"

	"clawback/revoke/lazyregexp"
)

// placeholders are values that stand where a secret should: they are told apart. Each pattern
// holds for the whole of a short value, so that no random secret is taken for one.
var placeholders = lazyregexp.New(`(?i)\A(?:` +
	`<[^<>]*>|\{\{.*\}\}|\[[^\[\]]*\]|%[a-z_]+%|` +
	`.*(?:\b|_)your[_ -](?:[a-z]+[_ -]?)+(?:here)?[_ -]?[0-9x.*]*|your[a-z]{3,20}(?:key|token|secret|password)(?:here)?|` +
	`(?:[a-z0-9]+[_-])*?(?:change[_ -]?me|change[_ -]?it|replace[_ -]?(?:me|this|with)[a-z _-]*|insert[_ -][a-z _-]+|put[_ -][a-z _-]+|fill[_ -]?(?:me|in)[a-z _-]*)[!.]*|` +
	`(?:[a-z]+[_-])*?(?:placeholder|dummy|redacted|example|sample|fake|todo|tbd|fixme|foobar|secret|password|token|api[_-]?key|key|none|null|undefined|n/a|unset|empty)(?:[_-](?:key|token|secret|password|value|here))*|` +
	`__openclaw_redacted__|secretref-(?:managed|env:.*)` +
	`)\z`)

// examples are secrets that documentation prints and people paste.
// Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/security-creds.html,
// https://docs.stripe.com/keys, https://core.telegram.org/bots/api#authorizing-your-bot,
// https://api.slack.com/messaging/webhooks
var examples = []string{
	"EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY",
	"_4eC39HqLyjWDarjtT1zdp7dc", "_26PHem9AhJZvU623DfE1x4sd",
	"ABC-DEF1234ghIkl-zyx57W2v1u123ew11", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
	"https://hooks.slack.com/services/T00000000/",
	"1234567890abcdef1234567890abcdef",
}

// placeholder reports whether value is no secret but a place for one.
func placeholder(value string) bool {
	value = strings.TrimSpace(value)
	switch {
	case value == "", example(value):
		return true
	case len(value) > 120:
		return false
	}
	return filler(value) || placeholders.MatchString(value)
}

// example reports whether value is one that documentation prints.
func example(value string) bool {
	value = strings.TrimSpace(value)
	for _, e := range examples {
		if len(value) <= 120 && (strings.HasSuffix(value, e) || strings.HasPrefix(value, e)) {
			return true
		}
	}
	return false
}

// filler reports whether at least half of value is runs of a character that people fill gaps with:
// "xoxb-xxxx-xxxx", "****".
func filler(value string) bool {
	if strings.Trim(value, value[:1]) == "" {
		return true
	}
	run, runs := 1, 0
	for i := 1; i <= len(value); i++ {
		if i < len(value) && value[i] == value[i-1] {
			run++
			continue
		}
		if run >= 3 && strings.IndexByte("xX*.#", value[i-1]) >= 0 {
			runs += run
		}
		run = 1
	}
	return runs*2 >= len(value)
}
