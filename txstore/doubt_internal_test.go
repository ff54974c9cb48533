package txstore

import "testing"

func TestTextThatCommitsIsTold(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"commit", " COMMIT;", "End", "commit and chain -- x", "prepare transaction 'x'", "PREPARE /* ; */ TRANSACTION 'x'",
		"commit; begin", "select 1;commit", "SELECT 1; -- now\ncommit; begin", "/* x */ commit; begin", "/* a /* b */ ; */ end work",
		"select 'it''s'; commit", "select $$;$$; commit", "select $a$ $$; $a$; commit", `select e'\';'; commit`, `select "a;b"; commit`,
		"select $1; commit", "select a$b$; commit", "select 1 /* ; */ -- ;\n; commit", ";;commit",
	} {
		if !commits(sql, false) {
			t.Errorf("%q: it does not commit", sql)
		}
	}
	for _, sql := range []string{
		"", ";", "-- commit", "/* commit", "select 1", "rollback; begin", "rollback and chain", "committed; ending", "prepare commit as select 1",
		"select * from t order by chain", "insert into blockchain values (1) returning chain", "SELECT CASE WHEN true THEN 1 END;",
		"DO $$ BEGIN PERFORM 1; END; $$", "do $x$ begin commit; end; $x$; select 1", "SELECT 'a; commit; b'", `select e'\'; commit; '`,
		`select "; commit"`, "select 1; -- ; commit", "select 1 /* ; commit */", "savepoint s; release s", "execute commit", "select '''; commit'",
	} {
		if commits(sql, false) {
			t.Errorf("%q: it commits", sql)
		}
	}
}

// Whatever a handler sends, it is looked at and left.
func FuzzTextThatCommits(f *testing.F) {
	f.Add("select 'a''b'; /* /* */ */ $a$ $a$ e'\\'' -- x\n commit")
	f.Fuzz(func(t *testing.T, sql string) {
		if commits(sql, false) != commits("; "+sql, false) || !commits("commit; "+sql, false) {
			t.Errorf("%q", sql)
		}
	})
}
