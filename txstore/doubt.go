package txstore

import "strings"

// doubt notes it if sql may end the transaction and begin another, after which the
// connection is in a transaction as it was before. The caller holds mu.
func (t *transaction) doubt(sql string) { t.doubtful = t.doubtful || mayBeginAnother(sql) }

// mayBeginAnother tells whether sql is a list of statements with one in it that ends
// a transaction, or is one that ends it AND CHAIN. It may be wrong about what stands
// in strings and in the bodies of functions.
func mayBeginAnother(sql string) bool {
	const chain = "chain"
	sql = strings.TrimRight(sql, "; \t\r\n")
	if n := len(sql) - len(chain); n >= 0 && strings.EqualFold(sql[n:], chain) {
		return true
	}
	if !strings.Contains(sql, ";") {
		return false
	}
	for statement := range strings.SplitSeq(strings.ToLower(sql), ";") {
		if endsTransaction(strings.Fields(statement)) {
			return true
		}
	}
	return false
}

// endsTransaction takes the words of a statement. END ends blocks of PL/pgSQL, too.
func endsTransaction(words []string) bool {
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case "commit", "rollback", "abort":
		return true
	case "prepare":
		return len(words) > 1 && words[1] == "transaction"
	case "end":
		return len(words) == 1 || words[1] == "work" || words[1] == "transaction" || words[1] == "and"
	}
	return false
}
