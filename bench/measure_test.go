package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestQuotientsAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	if got := quotients([]float64{1, 6}, []float64{2, 3}); !slices.Equal(got, []float64{0.5, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestFailedPaymentFailsTheTurn(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke")
	c := contender{"broken", func(context.Context) error { return broke }}
	if _, err := rate(t.Context(), c, 4, time.Minute); !errors.Is(err, broke) || !strings.Contains(err.Error(), c.name) {
		t.Errorf("got %v, want the payment's error with the contender's name", err)
	}
}
