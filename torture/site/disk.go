package site

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Disk is a small file system in memory. The server's write-ahead log is not on
// it: what is committed is flushed to the machine's disk as ever.
type Disk struct{ path string }

// diskBytes is room enough for a run of an hour.
const diskBytes = 512 << 20

// newDisk mounts a file system and makes a tablespace of it. To mount one needs
// the rights of root.
func (s *Site) newDisk(ctx context.Context, conn *pgx.Conn) (*Disk, error) {
	path := filepath.Join(s.folder.Path(), "disk")
	owner, err := serverUser(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("size=%d,mode=0700,uid=%d,gid=%d", diskBytes, owner.Uid, owner.Gid)
	if err := mount(path, options); err != nil {
		return nil, fmt.Errorf("mounting a small file system: %w", err)
	}
	disk := &Disk{path: path}
	data := filepath.Join(path, "tablespace")
	err = errors.Join(os.Mkdir(data, 0o700), os.Chown(data, int(owner.Uid), int(owner.Gid)))
	if err == nil {
		_, err = conn.Exec(ctx, "CREATE TABLESPACE small LOCATION '"+data+"'")
	}
	if err != nil {
		return nil, errors.Join(err, disk.close())
	}
	return disk, nil
}

// serverUser finds out as whom the database server runs.
func serverUser(ctx context.Context, conn *pgx.Conn) (*syscall.Stat_t, error) {
	var folder string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&folder); err != nil {
		return nil, err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("files have no owners here")
	}
	return stat, nil
}

func (d *Disk) filler() string { return filepath.Join(d.path, "filler") }

// Fill leaves no room on the disk.
func (d *Disk) Fill() (err error) {
	defer func() {
		if err != nil {
			_ = d.Empty()
		}
	}()
	file, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Empty takes back what Fill did.
func (d *Disk) Empty() error { return os.Remove(d.filler()) }

func (d *Disk) close() error { return unmount(d.path) }
