package idem

import "net/http"

// DefaultPolicy is what Config.Policy defaults to in a transaction. It asks
// what the client will do with the answer:
//
//   - 2xx and 3xx say that the work is done: CommitAll.
//   - A 4xx that a client takes as final (400, 402, 410, 422 and those not
//     named below) must stay final: CommitResponse.
//   - 401 403 404 405 406 407 408 409 411 412 413 414 415 417 421 423 424 425
//     426 428 429 431 451 and all of 5xx ask the client to come back with the
//     same key: Discard.
//
// A store without a transaction cannot undo what the handler wrote before it
// answered. There Config.Policy, while it is nil, keeps every 4xx instead.
func DefaultPolicy(status int, _ http.Header) Disposition {
	switch {
	case status < 200 || status >= 500 || invitesRetry(status):
		return Discard
	case status >= 400:
		return CommitResponse
	}
	return CommitAll
}

// invitesRetry tells whether a 4xx speaks of circumstances that may be others
// when the same request comes again.
func invitesRetry(status int) bool {
	switch status {
	case 401, 403, 404, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 417,
		421, 423, 424, 425, 426, 428, 429, 431, 451:
		return true
	}
	return false
}

// leasedPolicy is DefaultPolicy for an attempt whose writes cannot be undone.
func leasedPolicy(status int, header http.Header) Disposition {
	if status >= 400 && status < 500 {
		return CommitResponse
	}
	return DefaultPolicy(status, header)
}

// decide asks the configured policy. One that returns none of the three
// dispositions has no opinion: to guess Discard under a 2xx would tell the
// client of writes that were undone. It gets a copy of the header: what is kept
// of that is settled before it is asked, and not for a Policy to change.
func (c *Config) decide(status int, header http.Header, transactional bool) Disposition {
	if c.Policy != nil {
		if d := c.Policy(status, header.Clone()); d >= CommitAll && d <= Discard {
			return d
		}
	}
	if transactional {
		return DefaultPolicy(status, header)
	}
	return leasedPolicy(status, header)
}
