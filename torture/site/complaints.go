package site

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// signs of what no fault excuses in what a server says on standard error.
var signs = []string{"DATA RACE", "panic", "fatal error"}

// maxComplaint is how much of a complaint is read.
const maxComplaint = 20000

// Complaints returns what the servers' processes, of all lives, have said that
// no fault excuses.
func (s *Site) Complaints() (complaints []string, err error) {
	logs, err := filepath.Glob(filepath.Join(s.folder.Path(), "server-*.log"))
	for _, name := range logs {
		text, readErr := os.ReadFile(name)
		err = errors.Join(err, readErr)
		if complains(string(text)) {
			complaints = append(complaints, filepath.Base(name)+":\n"+string(text[:min(len(text), maxComplaint)]))
		}
	}
	return complaints, err
}

func complains(text string) bool {
	for _, sign := range signs {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
