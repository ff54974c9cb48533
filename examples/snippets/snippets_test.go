package snippets_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const readme = "../../README.md"

var shown = regexp.MustCompile("(?s)<!-- snippet: ([a-z]+) -->\n```go\n(.*?)```")

// The README shows exactly what is compiled here.
func TestReadmeShowsCodeThatCompiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	snippets := compiled(t)
	blocks := shown.FindAllStringSubmatch(string(text), -1)
	if got, want := strings.Count(string(text), "```go"), len(blocks); got != want || want == 0 {
		t.Errorf("README has %d Go blocks, %d of them with a snippet's name", got, want)
	}
	for _, block := range blocks {
		name, body := block[1], block[2]
		if body != snippets[name] {
			t.Errorf("README's snippet %q differs from the code; it should be:\n%s", name, snippets[name])
		}
	}
}

// compiled returns the marked regions of the Go files here, without their
// indentation.
func compiled(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	snippets := make(map[string]string)
	for _, file := range append(files, "quickstart/main.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		collect(snippets, string(text))
	}
	return snippets
}

func collect(snippets map[string]string, text string) {
	name, indent := "", ""
	for line := range strings.Lines(text) {
		code := strings.TrimSpace(line)
		switch begun, isBegin := strings.CutPrefix(code, "// snippet: "); {
		case isBegin:
			name, indent = begun, line[:strings.Index(line, "//")]
		case code == "// end snippet":
			snippets[name] = strings.Trim(snippets[name], "\n") + "\n"
			name = ""
		case name != "":
			snippets[name] += strings.TrimPrefix(line, indent)
		}
	}
}
