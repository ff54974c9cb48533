package memory

// Usage lets tests see what the store counts: records and estimated bytes.
func (s *Store) Usage() (records, bytes int64) {
	return s.usage.records.Load(), s.usage.bytes.Load()
}

// Held returns how many records the shards hold, and how many of them the
// expiry heaps know.
func (s *Store) Held() (records, expiring int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		records += len(sh.records)
		expiring += len(sh.expiry)
		sh.mu.Unlock()
	}
	return records, expiring
}

// Waiting returns how many Reserves wait for key.
func (s *Store) Waiting(key string) int {
	sh := s.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rec := sh.records[key]
	if rec == nil || rec.waiters == nil {
		return 0
	}
	return rec.waiters.Len()
}
