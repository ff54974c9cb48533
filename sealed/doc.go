// Package sealed encrypts what a store keeps of a response. [New] puts it in
// front of any [idem.Store]:
//
//	cipher, err := sealed.NewAESGCM("2024-06", map[string][]byte{"2024-06": key})
//	store, err := sealed.New(inner, sealed.Config{Cipher: cipher})
//
// Use that store in Config.Store and DoConfig.Store. What else the inner store
// can do (its transaction, its sweep, its Close) is still asked of the inner
// store; a transactional store stays transactional.
//
// # What is encrypted
//
// Header and body of the response, together. The inner store still sees the
// stored key (scope and idempotency key), the status, the length, the times, and
// the request hash. The hash of a request that has few possible bodies can be
// found by trying them: see Config.HashSecret.
//
// A record opens only under the stored key, request hash and status that it was
// made for. Whoever can write to the table and has no encryption key cannot make
// a record, change one, or put one in the place of another's. What such a person
// can do is remove a record, which lets its request run again, bring back an
// older one of the same key, and change its times.
//
// A record that cannot be opened is [idem.ErrRecordUnreadable]: the client is
// told 500, and the handler is not run.
//
// # Switching on
//
// Roll out Config.OpenOnly to every process, so that all can open; then
// Config.AcceptPlain in its place, which seals; then, after a TTL, neither. The
// same backwards switches encryption off.
//
// # Size
//
// A record grows by about 50 bytes and the length of the encryption key's id,
// and by 64 more with Config.HashSecret. It does not compress any more, as
// PostgreSQL does with a body of more than two kilobytes.
//
// # Rotation
//
// Give every process the new encryption key beside the old one; then make it the
// current one everywhere; then, when the last record of the old one has expired,
// take the old one away. Taken away earlier, its records are unreadable until
// they expire.
package sealed
