package main

import (
	"fmt"
	"os"
	"testing"
)

// buildFolder is where program builds.
var buildFolder string

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if buildFolder, err = os.MkdirTemp("", "pgidem-torture-program-"); err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(buildFolder) }()
	return m.Run(), nil
}
