package inject_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/site"
	"github.com/pgidem/pgidem/torture/wallclock"
)

// The sites of all tests. They are built once, since that takes seconds, and so
// the tests take turns.
var withPostgres, withRedis *site.Site

func TestMain(m *testing.M) {
	// Tests of the disk mount one.
	if apart, err := site.RunApart(); apart {
		if err != nil {
			os.Exit(1)
		}
		return
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	folder, err := os.MkdirTemp("", "pgidem-torture-build-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx := context.Background()
	binary, err := wallclock.Build(ctx, folder)
	if err != nil {
		return 1, err
	}
	for _, s := range []struct {
		site **site.Site
		mode string
	}{{&withPostgres, history.Transactional}, {&withRedis, history.Redis}} {
		opened, err := site.Open(ctx, site.Config{Mode: s.mode, Servers: 2, Binary: binary})
		if err != nil {
			return 1, err
		}
		defer func() { _ = opened.Close() }()
		*s.site = opened
	}
	return m.Run(), nil
}
