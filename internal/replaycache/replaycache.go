// Package replaycache keeps completed responses in memory, so that the retries
// of a busy key need no database. A record never changes once it is completed;
// what ends is its time, and nothing is kept beyond that.
package replaycache

import (
	"container/list"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// maxAge bounds how long a response is served from memory after it was last
// read or written in the database: a record deleted there by hand, or a machine
// that slept, must not matter for longer.
const maxAge = time.Minute

// overhead is about what an entry costs beside the bytes in it.
const overhead = 512

// Cache holds responses up to a number of bytes; the least recently used go
// first. It is safe for concurrent use. A nil Cache keeps nothing.
type Cache struct {
	maxBytes int64

	// mu guards what follows.
	mu      sync.Mutex
	size    int64
	byKey   map[string]*list.Element // of *entry
	byUsage *list.List               // the most recently used first
}

type entry struct {
	key      string
	response idem.Cached
	until    time.Time
	size     int64
}

// New returns a Cache of at most maxBytes, nil if that is zero.
func New(maxBytes int64) *Cache {
	if maxBytes == 0 {
		return nil
	}
	return &Cache{maxBytes: maxBytes, byKey: make(map[string]*list.Element), byUsage: list.New()}
}

// Get returns a copy of the response under key.
func (c *Cache) Get(key string) (*idem.Cached, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	e := at.Value.(*entry)
	if !time.Now().Before(e.until) {
		c.remove(at)
		return nil, false
	}
	c.byUsage.MoveToFront(at)
	response := e.response.Clone()
	return &response, true
}

// Put keeps a copy of the response, whose record had left to live at the moment
// asked, before the database was asked: the record outlives the entry.
func (c *Cache) Put(key string, response *idem.Cached, asked time.Time, left time.Duration) {
	if c == nil || left <= 0 {
		return
	}
	e := &entry{key: key, until: asked.Add(min(left, maxAge)), size: sizeOf(key, response)}
	if e.size > c.maxBytes {
		return
	}
	e.response = response.Clone()
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.byKey[key]; ok {
		c.remove(old)
	}
	c.byKey[key] = c.byUsage.PushFront(e)
	c.size += e.size
	for c.size > c.maxBytes {
		c.remove(c.byUsage.Back())
	}
}

func (c *Cache) remove(at *list.Element) {
	e := c.byUsage.Remove(at).(*entry)
	delete(c.byKey, e.key)
	c.size -= e.size
}

func sizeOf(key string, response *idem.Cached) int64 {
	size := overhead + len(key) + len(response.RequestHash) + len(response.Body)
	for name, values := range response.Header {
		size += len(name)
		for _, v := range values {
			size += len(v) + 16
		}
	}
	return int64(size)
}
