package running_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgidem/pgidem/internal/running"
)

func TestCloseWaitsForWhatHasBegunAndLetsNothingBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := running.New()
		if !c.Begin() {
			t.Fatal("an open Counter refuses")
		}
		c.More()
		go func() {
			time.Sleep(time.Second)
			c.End()
			time.Sleep(time.Second)
			c.End()
			c.More() // after it was idle
			c.End()
		}()
		began := time.Now()
		c.Close(time.Minute)
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("Close waited %v, want 2 s", waited)
		}
		<-c.Closed()
		if c.Begin() {
			t.Error("a closed Counter lets something begin")
		}
		c.Close(time.Minute)
	})
}

func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := running.New()
		c.Begin()
		began := time.Now()
		c.Close(time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("Close waited %v, want 1 s", waited)
		}
	})
}
