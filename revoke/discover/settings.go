package discover

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

// maxSettings bounds what one file may set.
const maxSettings = 50_000

// limit returns as many settings as are searched.
func (s *scan) limit(at string, all []setting) []setting {
	if len(all) > maxSettings {
		s.note(openclaw.Problem{Path: at, Reason: fmt.Sprintf("more than %d settings: the rest was not searched", maxSettings)})
		all = all[:maxSettings]
	}
	return all
}

// settings searches variables of one file.
func (s *scan) settings(at string, all []setting) {
	s.perFile = 0
	all = s.limit(at, all)
	values := map[string]string{}
	for _, v := range all {
		values[v.name] = v.value
	}
	stripe := endpointID(all)
	keys, rest := awsKeys(all)
	for _, k := range keys {
		s.report(candidate{provider: "aws", kind: k.kind(), parts: k.parts, guessed: k.first.comment,
			source: credential.Source{Path: at, Locator: settingLocator(k.first), Line: k.first.line, Note: commentNote(k.first)}})
	}
	for _, v := range rest {
		if s.ctx.Err() != nil {
			return
		}
		if s.pointer(at, v) {
			continue
		}
		provider, kind, ok := classifyVariable(v.name, v.value)
		if !ok && v.row != "" && v.secret && !placeholder(v.value) {
			provider, kind = classify(variableProvider(v.name), "", v.value)
			ok = true
		}
		if _, telling := credential.Recognize(v.value); !ok || v.comment && !telling || reference.MatchString(v.value) {
			continue
		}
		c := candidate{provider: provider, kind: kind, parts: map[string]string{"value": v.value}, guessed: v.comment, endpoint: endpointVariable(values, v.name),
			source: credential.Source{Path: at, Locator: settingLocator(v), Line: v.line, Note: commentNote(v)}}
		if strings.HasPrefix(v.value, "whsec_") && stripe != "" {
			c.ref = map[string]string{"endpoint": stripe}
		}
		c.complete(besideVariable(v.name, func(name string) string { return values[name] }))
		s.report(c)
	}
}

func settingLocator(v setting) string {
	if v.row != "" {
		return v.row
	}
	var steps []json5.Step
	if v.section != "" {
		steps = append(steps, json5.Step{Key: v.section, Index: -1})
	}
	return locator(append(steps, json5.Step{Key: v.name, Index: -1}))
}

func commentNote(v setting) string {
	if v.comment {
		return "in a comment"
	}
	return v.note
}

// endpointID is the one Stripe endpoint that the settings of a file name.
func endpointID(all []setting) string {
	ids := map[string]bool{}
	for _, v := range all {
		if strings.HasPrefix(v.value, "we_") && stripeEndpoint.MatchString(v.value) {
			if strings.HasPrefix(v.name, "STRIPE_WEBHOOK_ENDPOINT") {
				return v.value
			}
			ids[v.value] = true
		}
	}
	if len(ids) == 1 {
		return sortedKeys(ids)[0]
	}
	return ""
}

// endpointVariable is the address that a variable beside a key sets: OPENAI_BASE_URL.
func endpointVariable(values map[string]string, name string) string {
	stem := secretWords().ReplaceAllString(name, "")
	for _, suffix := range []string{"_BASE_URL", "_API_URL", "_API_BASE", "_ADDR", "_ENDPOINT_URL", "_HOST"} {
		if v := values[stem+suffix]; v != "" {
			return origin(v)
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
