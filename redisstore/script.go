package redisstore

import (
	_ "embed" // the scripts

	"github.com/redis/go-redis/v9"
)

// The scripts touch one key each, so that any slot of a Cluster can run them,
// and are idempotent by attempt id: go-redis repeats a call whose reply was lost.
var (
	//go:embed lua/record.lua
	recordLua string
	//go:embed lua/reserve.lua
	reserveLua string
	//go:embed lua/commit.lua
	commitLua string
	//go:embed lua/lost.lua
	lostLua string
	//go:embed lua/renew.lua
	renewLua string
	//go:embed lua/release.lua
	releaseLua string

	reserveScript = newScript(recordLua + reserveLua)
	commitScript  = newScript(commitLua + recordLua + lostLua)
	renewScript   = newScript(renewLua)
	releaseScript = newScript(releaseLua)
)

// script is what the server runs, and its name there as an argument of a command.
type script struct {
	*redis.Script
	name any
}

func newScript(text string) *script {
	s := redis.NewScript(text)
	return &script{Script: s, name: s.Hash()}
}

// The kinds of replies: a word that a script says, or that a number stands for.
const (
	replyFresh      = "fresh"
	replyOwn        = "own" // fresh, and the attempt's lease was there
	replyHeld       = "held"
	replyExpired    = "expired"
	replyCommitted  = "committed"
	replyCompleted  = "completed"
	replyNothing    = "nothing"
	replyLost       = "lost"
	replyRenewed    = "renewed"
	replyUnreadable = "unreadable"
)
