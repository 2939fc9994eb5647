package custom

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// answerRule is one answer, as the desk knows it. A status alone is not enough: any proxy may say it.
type answerRule struct {
	Status int    `yaml:"status"`
	Field  string `yaml:"field"`  // of a JSON answer, with dots between the names: error.code
	Equals string `yaml:"equals"` // the field's value; empty means that it has one
	Text   string `yaml:"text"`   // stands in the answer
	Empty  bool   `yaml:"empty"`  // the answer has no body
}

var fieldPath = lazyregexp.New(`\A[0-9A-Za-z_@$-]{1,60}(?:\.[0-9A-Za-z_@$-]{1,60}){0,9}\z`)

func (r answerRule) check() error {
	told := 0
	for _, given := range []bool{r.Field != "", r.Text != "", r.Empty} {
		if given {
			told++
		}
	}
	switch {
	case r.Status < 200 || r.Status > 499 || r.Status/100 == 3 || r.Status == 429 || r.Status == 407:
		return errors.New("status: want a 2xx or 4xx that says something of the credential")
	case told != 1:
		return errors.New("want one of field, text and empty: a status alone may be a proxy's")
	case r.Field != "" && !fieldPath.MatchString(r.Field):
		return errors.New("field: want names with dots between them")
	case r.Equals != "" && r.Field == "":
		return errors.New("equals: of which field?")
	}
	return nil
}

// fits reports whether an answer, read whole, is this one, and what in it says so.
func (r answerRule) fits(reply wire.Reply) (said string, ok bool) {
	if reply.Err != nil || reply.Status != r.Status {
		return "", false
	}
	body := strings.TrimSpace(string(reply.Body))
	switch {
	case r.Empty:
		return "", body == ""
	case r.Text != "":
		return r.Text, strings.Contains(body, r.Text)
	}
	value, ok := field(reply, r.Field)
	return r.Field + "=" + value, ok && (r.Equals == "" || r.Equals == value)
}

// first is the first of the rules that fits.
func first(rules []answerRule, reply wire.Reply) (said string, ok bool) {
	for _, r := range rules {
		if said, ok = r.fits(reply); ok {
			return said, true
		}
	}
	return "", false
}

// field is the value of a JSON answer's field: a string, number or boolean, or "…" for what is more.
func field(reply wire.Reply, path string) (string, bool) {
	var at any
	if !reply.JSON(&at) {
		return "", false
	}
	for name := range strings.SplitSeq(path, ".") {
		switch in := at.(type) {
		case map[string]any:
			at = in[name]
		case []any:
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n >= len(in) {
				return "", false
			}
			at = in[n]
		default:
			return "", false
		}
	}
	switch v := at.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case bool, float64:
		text, err := json.Marshal(v)
		return string(text), err == nil
	}
	return "…", true
}
