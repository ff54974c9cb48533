// Package waldump says what a stretch of PostgreSQL's write-ahead log is made
// of.
package waldump

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Stats are sums over a stretch of the log.
type Stats struct {
	Records int
	// Heap, Btree and Commit are bytes of records of tables, of indexes, and of
	// transactions' ends; Other is all else. None has the full-page images in it.
	Heap, Btree, Commit, Other int
	// Images are bytes of full-page images, which the first change of a page
	// after a checkpoint writes.
	Images int
}

// Run asks pg_waldump, from the folder of the server's programs, for the log of
// the data folder between two positions.
func Run(ctx context.Context, programs, data, from, to string) (Stats, error) {
	if from == to {
		return Stats{}, nil // in which pg_waldump finds no record, and fails
	}
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "pg_waldump"), "--stats=record", //nolint:gosec // the program beside the server
		"--path="+filepath.Join(data, "pg_wal"), "--start="+from, "--end="+to)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return Stats{}, fmt.Errorf("%s: %w: %s", cmd, err, complaints.String())
	}
	return Parse(strings.NewReader(string(out)))
}

// row is a kind of record, or the total: its name, then each a number with its
// share: records, bytes of records, bytes of images, bytes of both.
var row = regexp.MustCompile(`^(\S+)\s+(\d+) \([^)]*\)\s+(\d+) \([^)]*\)\s+(\d+) \([^)]*\)\s+(\d+) \([^)]*\)`)

// The total has the shares of records and images in brackets of another kind.
var total = regexp.MustCompile(`^Total\s+(\d+)\s+(\d+) \[[^\]]*\]\s+(\d+) \[[^\]]*\]\s+(\d+)`)

// Parse reads what pg_waldump --stats=record prints, and checks that the rows
// add up to its total.
func Parse(r io.Reader) (s Stats, err error) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if m := total.FindStringSubmatch(lines.Text()); m != nil {
			return s, s.verify(number(m[1]), number(m[2]), number(m[3]))
		}
		if m := row.FindStringSubmatch(lines.Text()); m != nil {
			s.add(m[1], number(m[2]), number(m[3]), number(m[4]))
		}
	}
	return s, errors.New("waldump: the output has no total")
}

func (s *Stats) add(kind string, records, bytes, images int) {
	s.Records += records
	s.Images += images
	manager, _, _ := strings.Cut(kind, "/")
	switch manager {
	case "Heap", "Heap2":
		s.Heap += bytes
	case "Btree":
		s.Btree += bytes
	case "Transaction":
		s.Commit += bytes
	default:
		s.Other += bytes
	}
}

// Bytes is everything.
func (s Stats) Bytes() int { return s.Heap + s.Btree + s.Commit + s.Other + s.Images }

func (s Stats) verify(records, bytes, images int) error {
	if s.Records != records || s.Bytes()-s.Images != bytes || s.Images != images {
		return fmt.Errorf("waldump: the rows add up to %+v and not to the total of %d records, %d and %d bytes", s, records, bytes, images)
	}
	return nil
}

// number converts digits that a pattern has matched.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
