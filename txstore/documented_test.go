package txstore_test

import (
	"os"
	"strings"
	"testing"
)

// documented returns the statements of a block of SQL in docs/security.md that
// stands under <!-- sql: name -->.
func documented(tb testing.TB, name string) []string {
	tb.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		tb.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "<!-- sql: "+name+" -->\n```sql\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		tb.Fatalf("docs/security.md has no block of SQL named %q", name)
	}
	var statements []string
	for statement := range strings.SplitSeq(block, ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements
}
