package txstore_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

const poolerGuide = "../docs/poolers-and-failover.md"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The guide's code is the example's, which is compiled.
func TestPoolerGuideShowsTheExample(t *testing.T) {
	t.Parallel()
	_, body, _ := strings.Cut(read(t, "example_pooler_test.go"), "func ExampleConfig_listenConn() {\n")
	body = strings.ReplaceAll(strings.TrimSuffix(body, "}\n"), "\n\t", "\n")
	if code := "```go\n" + strings.TrimPrefix(body, "\t") + "```\n"; !strings.Contains(read(t, poolerGuide), code) {
		t.Errorf("the guide has no\n%s", code)
	}
}

// The tests that the guide names are there.
func TestPoolerGuideNamesTests(t *testing.T) {
	t.Parallel()
	var tests strings.Builder
	for _, file := range []string{"pooler_test.go", "fault_promotion_test.go", "fault_standby_test.go", "settle_test.go"} {
		tests.WriteString(read(t, file))
	}
	named := 0
	for _, word := range strings.Split(read(t, poolerGuide), "`") {
		if !strings.HasPrefix(word, "Test") {
			continue
		}
		named++
		if !strings.Contains(tests.String(), "func "+word+"(t *testing.T)") {
			t.Errorf("the guide names %s, which is not there", word)
		}
	}
	if named < 4 {
		t.Errorf("the guide names %d tests", named)
	}
}

// The guide's URL is one that pgx understands: two hosts, and the one wanted
// that takes writes.
func TestPoolerGuideURLNamesTwoHosts(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(read(t, poolerGuide), "```\npostgres://")
	url, _, _ := strings.Cut(rest, "\n")
	config, err := pgxpool.ParseConfig("postgres://" + url)
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]bool{config.ConnConfig.Host: true}
	for _, fallback := range config.ConnConfig.Fallbacks {
		hosts[fallback.Host] = true
	}
	if !hosts["db1"] || !hosts["db2"] || config.ConnConfig.ValidateConnect == nil {
		t.Errorf("%s leads to %v", url, hosts)
	}
}
