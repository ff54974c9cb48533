package pgserver

import (
	"errors"
	"os"
	"path/filepath"
)

const (
	folderPrefix = "pgidem-postgres-"
	lockName     = "in-use"
)

// folder holds the files of one server. It is locked as long as its process
// lives: a process that is killed cannot remove it, so the next one does.
type folder struct {
	path  string
	owner owner
	lock  *os.File
}

// newFolder makes a folder that the server's user can reach. t.TempDir would not
// do: as root its parent is closed to everybody else.
func newFolder(onDisk bool) (*folder, error) {
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	base := os.TempDir()
	if !onDisk {
		base = memoryFolder()
	}
	removeAbandoned(base)
	path, err := os.MkdirTemp(base, folderPrefix)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, owner: owner}
	if f.lock, err = lockFolder(path); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	if err := owner.own(path); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

// lockFolder takes the lock under another name first: a lock file that is there
// and not locked means that its owner is dead.
func lockFolder(path string) (*os.File, error) {
	making := filepath.Join(path, lockName+".new")
	lock, err := os.Create(making)
	if err != nil {
		return nil, err
	}
	if !tryLock(lock) {
		return nil, errors.Join(errors.New("new file is locked"), lock.Close())
	}
	return lock, os.Rename(making, filepath.Join(path, lockName))
}

// removeAbandoned removes the folders of processes that were killed.
func removeAbandoned(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, folderPrefix+"*", lockName))
	for _, name := range locks {
		lock, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue // somebody else's, or just removed
		}
		if tryLock(lock) {
			_ = os.RemoveAll(filepath.Dir(name)) // whatever stays, the next one tries again
		}
		_ = lock.Close()
	}
}

func (f *folder) data() string { return filepath.Join(f.path, "data") }

func (f *folder) openLog() (*os.File, error) {
	// Each start has a log of its own; an older one would tell of older errors.
	return os.Create(filepath.Join(f.path, "log"))
}

// logTail is how much of the log goes into an error.
const logTail = 4000

func (f *folder) log() string {
	text, err := os.ReadFile(filepath.Join(f.path, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logTail):])
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
		f.lock = nil
	}
	return err
}
