package replaycache

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgidem/pgidem/idem"
)

func response(body string) *idem.Cached {
	return &idem.Cached{Status: 201, Header: http.Header{"Location": {"/a"}}, Body: []byte(body), RequestHash: "h"}
}

// Behaviour 59.
func TestCallersGetCopies(t *testing.T) {
	t.Parallel()
	c := New(1 << 20)
	given := response("kept")
	c.Put("k", given, time.Now(), time.Hour)
	given.Body[0], given.Header["Location"][0] = 'X', "/changed"
	first, _ := c.Get("k")
	first.Body[0], first.Header["Location"][0] = 'Y', "/changed too"
	second, ok := c.Get("k")
	if !ok || !bytes.Equal(second.Body, []byte("kept")) || second.Header.Get("Location") != "/a" {
		t.Errorf("second copy = %q %v, %v", second.Body, second.Header, ok)
	}
}

func TestNothingIsServedBeyondItsRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(1 << 20)
		asked := time.Now()
		time.Sleep(2 * time.Second) // the database took its time to answer
		c.Put("short", response("a"), asked, 10*time.Second)
		c.Put("long", response("b"), asked, time.Hour)
		c.Put("over", response("c"), asked, 0)
		for _, moment := range []struct {
			after       time.Duration
			short, long bool
		}{
			{10*time.Second - 1, true, true},
			{10 * time.Second, false, true},
			{maxAge - 1, false, true},
			{maxAge, false, false},
		} {
			time.Sleep(time.Until(asked.Add(moment.after)))
			_, short := c.Get("short")
			_, long := c.Get("long")
			_, over := c.Get("over")
			if short != moment.short || long != moment.long || over {
				t.Errorf("after %v: short %v, long %v, over %v", moment.after, short, long, over)
			}
		}
		if c.size != 0 || len(c.byKey) != 0 || c.byUsage.Len() != 0 {
			t.Errorf("%d bytes left of %d entries", c.size, len(c.byKey))
		}
	})
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	t.Parallel()
	one := sizeOf("k0", response("body"))
	c := New(3 * one)
	for i := range 3 {
		c.Put(fmt.Sprint("k", i), response("body"), time.Now(), time.Hour)
	}
	c.Get("k0")
	c.Put("k3", response("body"), time.Now(), time.Hour)
	c.Put("k3", response("body"), time.Now(), time.Hour)
	for key, want := range map[string]bool{"k0": true, "k1": false, "k2": true, "k3": true} {
		if _, ok := c.Get(key); ok != want {
			t.Errorf("%s is there: %v", key, ok)
		}
	}
	if c.size != 3*one {
		t.Errorf("size = %d, want %d", c.size, 3*one)
	}
}

func TestWhatIsTooLargeIsNotKept(t *testing.T) {
	t.Parallel()
	c := New(4 << 10)
	c.Put("small", response("body"), time.Now(), time.Hour)
	large := string(make([]byte, 4<<10))
	c.Put("body", response(large), time.Now(), time.Hour)
	header := response("body")
	header.Header.Set("X-Large", large)
	c.Put("header", header, time.Now(), time.Hour)
	for _, key := range []string{"body", "header"} {
		if _, ok := c.Get(key); ok {
			t.Errorf("the one with a large %s is there", key)
		}
	}
	if _, ok := c.Get("small"); !ok {
		t.Error("the small one had to go for it")
	}
}

func TestNilKeepsNothing(t *testing.T) {
	t.Parallel()
	c := New(0)
	c.Put("k", response("body"), time.Now(), time.Hour)
	if _, ok := c.Get("k"); ok {
		t.Error("a cache of no bytes keeps something")
	}
}
