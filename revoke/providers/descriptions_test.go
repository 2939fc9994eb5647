package providers_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"clawback/revoke/providers"
)

// proof is what a provider and its fake are held to that is not ours: a fake that we invented proves
// only that we agree with ourselves.
type proof struct {
	tests []string // folder of the repository's revoke/, then the test's name
	lacks string   // what is held to nothing, and why; empty where nothing is
}

var proofs = map[string]proof{
	"aws": {
		tests: []string{"revoketest/peers TestAWSModels", "providers/aws TestFakeAnswersInAWSShapes"},
		lacks: "Bedrock's refusal of an API key is in no model: it is as others saw it",
	},
	"azure": {
		tests: []string{"providers/azure TestContract", "revoketest/peers TestKeyVaultClient", "revoketest/peers TestKeyVaultServer"},
		lacks: "Entra's token endpoint has pages and no description; Graph's own Go client is too large to build for a test",
	},
	"bitbucket": {
		tests: []string{"providers/bitbucket TestContract"},
		lacks: "Bitbucket's description, https://bitbucket.org/api/swagger.json, has no licence to copy it: the test needs it in CLAWBACK_SPECS",
	},
	"braintree": {lacks: "the schema, https://github.com/braintree/graphql-api, has no licence, and no official client in Go is there; ping and the revocation of tokens were read from it and from braintree_java"},
	"conjur":    {tests: []string{"providers/conjur TestContract", "revoketest/peers TestConjurClient"}},
	"custom":    {lacks: "it is whatever the desk describes"},
	"discord": {
		tests: []string{"providers/discord TestContract"},
		lacks: "Discord's description is not copied here: the test needs it in CLAWBACK_SPECS; the revocation of OAuth tokens is not in it",
	},
	"github": {tests: []string{"providers/github TestContract"}},
	"gitlab": {
		tests: []string{"providers/gitlab TestContract", "revoketest/peers TestGitLabClient"},
		lacks: "OAuth's endpoints are in no description",
	},
	"google": {
		tests: []string{"providers/google TestContract"},
		lacks: "the token endpoint and the Gemini API have no discovery document in the Go module",
	},
	"msteams": {lacks: "incoming webhooks are no part of Microsoft Graph: there are pages, and what others saw"},
	"oauth2":  {tests: []string{"revoketest/peers TestOAuth2Server"}},
	"slack": {
		tests: []string{"providers/slack TestAgainstSlacktest", "providers/slack/slackfake TestShapeOfAuthTest", "providers/slack/slackfake TestTheLibraryUnderstands"},
		lacks: "slacktest serves no auth.revoke, oauth.v2.access or webhook: of those the library's client is the only witness",
	},
	"stripe": {
		tests: []string{"providers/stripe TestContract", "revoketest/peers TestStripeMock"},
		lacks: "Connect's deauthorization and the preview's expiry of API keys are in no description",
	},
	"telegram": {lacks: "the Bot API has a page and no description; refusals were read from its server's source, https://github.com/tdlib/telegram-bot-api"},
	"vault":    {tests: []string{"providers/vault TestContract", "providers/vault TestARealServer", "revoketest/peers TestVaultClient"}},
	"whatsapp": {
		tests: []string{"providers/whatsapp TestContract"},
		lacks: "Meta describes deregister and errors; tokens have pages alone",
	},
}

// TestEveryProviderIsHeldToItsService fails on a provider that is held to nothing and does not say why.
func TestEveryProviderIsHeldToItsService(t *testing.T) {
	if len(proofs) != len(providers.Names()) {
		t.Errorf("%d proofs for %d providers", len(proofs), len(providers.Names()))
	}
	for _, name := range providers.Names() {
		p := proofs[name]
		if len(p.tests) == 0 && p.lacks == "" {
			t.Errorf("%s is held to nothing, and nobody says why", name)
		}
		for _, one := range p.tests {
			folder, test, _ := strings.Cut(one, " ")
			if !hasTest(t, filepath.Join("..", folder), test) {
				t.Errorf("%s: there is no %s in %s", name, test, folder)
			}
		}
	}
}

// hasTest reports whether a folder has a test of that name.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range files {
		file, err := parser.ParseFile(token.NewFileSet(), at, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				return true
			}
		}
	}
	return false
}
