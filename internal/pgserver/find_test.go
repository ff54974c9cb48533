package pgserver

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func failing(name, reason string) Leg {
	return Leg{Name: name, Start: func(context.Context) (*Server, error) { return nil, errors.New(reason) }}
}

func TestEveryLegsReasonIsNamed(t *testing.T) {
	t.Parallel()
	_, err := first(t.Context(), []Leg{failing("Docker", "no engine"), failing("local binaries", "none")})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Docker: no engine", "local binaries: none", URLVariable} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestTheFirstLegThatWorksWins(t *testing.T) {
	t.Parallel()
	want := Foreign("", "", nil)
	got, err := first(t.Context(), []Leg{
		failing("Docker", "no engine"),
		{Name: "works", Start: func(context.Context) (*Server, error) { return want, nil }},
		{Name: "too late", Start: func(context.Context) (*Server, error) { t.Error("asked needlessly"); return nil, nil }},
	})
	if err != nil || got != want {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestInstallationRefusesWhereBinariesAre(t *testing.T) {
	t.Parallel()
	if _, err := StartOrInstall(t.Context(), Options{Settings: []string{"no_such_setting=1"}}); err == nil {
		t.Fatal("a server came up with a setting that does not exist")
	} else if !strings.Contains(err.Error(), "no_such_setting") || !strings.Contains(err.Error(), "binaries are installed") {
		t.Fatalf("%q does not say what is wrong with the local server, or tried to install one", err)
	}
}
