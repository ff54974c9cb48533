package localproc

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockName is the file that says whether a folder's process lives.
const lockName = "in-use"

// Folder holds the files of one server. It is locked as long as its process
// lives: a process that is killed cannot remove it, so the next one does.
type Folder struct {
	path  string
	owner owner
	lock  *os.File
}

// NewFolder makes a folder that the server's user can reach; its name begins
// with prefix, and those of that prefix whose process was killed are removed. It
// lies in memory where that has room, unless onDisk. t.TempDir would not do: as
// root its parent is closed to everybody else.
func NewFolder(prefix string, onDisk bool) (*Folder, error) {
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	base := os.TempDir()
	if !onDisk {
		base = memoryFolder()
	}
	removeAbandoned(base, prefix)
	path, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, err
	}
	f := &Folder{path: path, owner: owner}
	if f.lock, err = lockFolder(path); err != nil {
		return nil, errors.Join(err, f.Remove())
	}
	if err := owner.own(path); err != nil {
		return nil, errors.Join(err, f.Remove())
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
func removeAbandoned(base, prefix string) {
	locks, _ := filepath.Glob(filepath.Join(base, prefix+"*", lockName))
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

// Path is the folder's own path.
func (f *Folder) Path() string { return f.path }

// Attributes let a child run as the user that the folder belongs to.
func (f *Folder) Attributes() *syscall.SysProcAttr { return f.owner.attributes() }

func (f *Folder) openLog() (*os.File, error) {
	// Each start has a log of its own; an older one would tell of older errors.
	return os.Create(filepath.Join(f.path, "log"))
}

// logTail is how much of the log goes into an error.
const logTail = 4000

// log returns the end of what the folder's server has said since its last start.
func (f *Folder) log() string {
	text, err := os.ReadFile(filepath.Join(f.path, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logTail):])
}

// Remove removes the folder and all that is in it. It may be called twice.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
		f.lock = nil
	}
	return err
}
