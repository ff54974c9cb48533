package txstore

import "strings"

// doubt notes it if sql may commit the transaction. Another that follows at once, in
// the same text or batch, or by AND CHAIN, leaves the connection in a transaction as
// it was before. The caller holds mu.
func (t *transaction) doubt(sql string) {
	escapes := t.conn.PgConn().ParameterStatus("standard_conforming_strings") == "off"
	t.doubtful = t.doubtful || commits(sql, escapes)
}

// commits tells whether one of the statements in sql, which is one or a list, commits
// a transaction, or takes it away by PREPARE TRANSACTION. escapes: a backslash is one
// in every string.
func commits(sql string, escapes bool) bool {
	for rest := skipBlank(sql); rest != ""; rest = skipBlank(rest) {
		word, after := firstWord(rest)
		switch {
		case strings.EqualFold(word, "commit"), strings.EqualFold(word, "end"):
			return true
		case strings.EqualFold(word, "prepare"):
			if what, _ := firstWord(skipBlank(after)); strings.EqualFold(what, "transaction") {
				return true
			}
		}
		rest = skipStatement(after, escapes)
	}
	return false
}

// skipBlank returns what follows blanks, comments and empty statements.
func skipBlank(sql string) string {
	for {
		sql = strings.TrimLeft(sql, "; \t\r\n\f\v")
		n := comment(sql)
		if n == 0 {
			return sql
		}
		sql = sql[n:]
	}
}

func firstWord(sql string) (word, after string) {
	n := 0
	for n < len(sql) && isWordByte(sql[n]) {
		n++
	}
	return sql[:n], sql[n:]
}

func isWordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80
}

// skipStatement returns what follows the next semicolon that ends a statement.
func skipStatement(sql string, escapes bool) string {
	if !strings.Contains(sql, ";") {
		return ""
	}
	for i := 0; i < len(sql); i++ {
		if sql[i] == ';' {
			return sql[i+1:]
		}
		if n := max(comment(sql[i:]), quoted(sql, i, escapes)); n > 0 {
			i += n - 1
		}
	}
	return ""
}

// comment returns the length of the comment that sql begins with, 0 if with none.
func comment(sql string) int {
	if strings.HasPrefix(sql, "--") {
		if n := strings.IndexAny(sql, "\r\n"); n >= 0 {
			return n + 1
		}
		return len(sql)
	}
	if !strings.HasPrefix(sql, "/*") {
		return 0
	}
	for i, depth := 2, 1; i < len(sql); i++ {
		switch {
		case strings.HasPrefix(sql[i:], "/*"):
			depth++
			i++
		case strings.HasPrefix(sql[i:], "*/"):
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(sql)
}

// quoted returns the length of what is quoted from sql[i] on, 0 if nothing is. A
// doubled quote is the end of one and the beginning of another.
func quoted(sql string, i int, escapes bool) int {
	after := i > 0 && (isWordByte(sql[i-1]) || sql[i-1] == '$') // a name has dollars, too
	switch sql[i] {
	case '"':
		return past(sql[i:], 1, `"`)
	case '\'':
		if escapes || after && sql[i-1]|0x20 == 'e' && (i < 2 || !isWordByte(sql[i-2])) {
			return escaped(sql[i:])
		}
		return past(sql[i:], 1, `'`)
	case '$':
		tag, rest := firstWord(sql[i+1:])
		if n := len(tag) + 2; !after && strings.HasPrefix(rest, "$") {
			return past(sql[i:], n, sql[i:i+n])
		}
	}
	return 0
}

// escaped returns the length of a string in which a backslash escapes.
func escaped(sql string) int {
	for i := 1; i < len(sql); i++ {
		switch sql[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(sql)
}

// past returns where in sql, from i on, end is over.
func past(sql string, i int, end string) int {
	n := strings.Index(sql[i:], end)
	if n < 0 {
		return len(sql)
	}
	return i + n + len(end)
}
