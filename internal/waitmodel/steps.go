package waitmodel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// primitives are what the protocol is made of. A function that mentions one of
// them takes part in it.
var primitives = []string{
	"keyClass", "waitClass", "wakeChannel", "wakeSQL", "relockSQL", "lockColumn",
	"letGo", "letGoSQL", "rollBack", "letGoProbe", "closeProbe",
	"newWait", "register", "unregister",
}

// Step is a function or a constant of the Go code.
type Step struct {
	digest     string
	primitives []string // that it mentions
}

// Steps reads the functions and string constants of a package, without its
// tests, by name: txstore.wakeSQL, txstore.seeker.search.
func Steps(dir string) (map[string]Step, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	steps := make(map[string]Step)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if err := addSteps(steps, filepath.Base(dir), file); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

func addSteps(steps map[string]Step, pkg, file string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	text := func(n ast.Node) []byte {
		return source[files.Position(n.Pos()).Offset:files.Position(n.End()).Offset]
	}
	for _, decl := range parsed.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			// From the name on: a comment before it is no part of it.
			body := text(&ast.FuncDecl{Recv: d.Recv, Name: d.Name, Type: d.Type, Body: d.Body})
			steps[pkg+"."+receiver(d)+d.Name.Name] = newStep(body)
		case *ast.GenDecl:
			if d.Tok != token.CONST && d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				c := spec.(*ast.ValueSpec)
				steps[pkg+"."+c.Names[0].Name] = newStep(text(c))
			}
		}
	}
	return nil
}

// receiver returns the type of a method and a dot.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	t := d.Recv.List[0].Type
	if pointer, ok := t.(*ast.StarExpr); ok {
		t = pointer.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

func newStep(source []byte) Step {
	words := tokens(source)
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	s := Step{digest: hex.EncodeToString(sum[:6])}
	for _, p := range primitives {
		if slices.Contains(words, p) {
			s.primitives = append(s.primitives, p)
		}
	}
	return s
}

// tokens returns what the compiler sees of source: no comments, no layout.
func tokens(source []byte) []string {
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	var words []string
	for {
		_, tok, literal := s.Scan()
		switch {
		case tok == token.EOF:
			return words
		case tok == token.SEMICOLON && literal == "\n":
			continue
		case tok == token.STRING && literal[0] == '`':
			literal = sqlWords(literal)
		case literal == "" || tok.IsOperator():
			literal = tok.String()
		}
		if n := len(words); n > 0 && words[n-1] == "," && (literal == ")" || literal == "}") {
			words = words[:n-1] // the comma that a line's end wants
		}
		words = append(words, literal)
	}
}

// sqlWords returns a raw string, which is SQL here, without comments and layout.
func sqlWords(literal string) string {
	var words []string
	for line := range strings.Lines(literal) {
		if !strings.HasPrefix(strings.TrimLeft(line, "` \t"), "--") {
			words = append(words, strings.Fields(line)...)
		}
	}
	return strings.Join(words, " ")
}

// Compare reads the list of the steps that the model speaks of, and returns what
// does not fit the code any more, and the list as it would have to be.
func Compare(list []byte, steps map[string]Step) (complaints []string, renewed []byte) {
	listed := make(map[string]bool)
	var out bytes.Buffer
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0][0] == '#' {
			out.WriteString(line)
			continue
		}
		digest, name := fields[0], fields[1]
		now, ok := steps[name]
		switch {
		case !ok:
			complaints = append(complaints, name+" is gone")
			continue
		case digest != now.digest:
			complaints = append(complaints, name+" has changed")
		}
		listed[name] = true
		fmt.Fprintf(&out, "%s %s\n", now.digest, strings.Join(fields[1:], " "))
	}
	for name, s := range steps {
		if len(s.primitives) > 0 && !listed[name] {
			complaints = append(complaints, fmt.Sprintf("%s is new to the protocol: it uses %s", name, strings.Join(s.primitives, ", ")))
		}
	}
	slices.Sort(complaints)
	return complaints, out.Bytes()
}
