package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// screen is where the demo writes to: plain lines, in colour on a terminal. It is
// safe for concurrent use.
type screen struct {
	colour bool
	begun  time.Time

	// mu guards out.
	mu  sync.Mutex
	out io.Writer
}

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &screen{out: out, colour: terminal && os.Getenv("NO_COLOR") == "", begun: time.Now()}
}

// event writes a line that says when it happened.
func (s *screen) event(format string, args ...any) {
	s.line("%6.1fs  %s", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (s *screen) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.out, format+"\n", args...) // nobody to tell but the screen itself
}

// row writes one line of the table: a name, a number, a remark.
func (s *screen) row(name, value, remark string) {
	line := fmt.Sprintf("  %-24s %12s   %s", name, value, s.paint(faint, remark))
	s.line("%s", strings.TrimRight(line, " "))
}

// Colours of a terminal.
const (
	bold   = "1"
	faint  = "2"
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

func (s *screen) paint(colour, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
