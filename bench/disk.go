package main

import (
	"fmt"
	"syscall"
)

// bytesPerRecord is more than a record takes, with its index and the log that is
// written meanwhile.
const bytesPerRecord = 1000

// checkRoom fails unless the folder's disk has room for so many records.
func checkRoom(folder string, records int) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return err
	}
	need, free := uint64(records)*bytesPerRecord, disk.Bavail*uint64(disk.Bsize) //nolint:gosec // neither is negative
	if free < need {
		return fmt.Errorf("%d records may take %d GB, and %s has %d GB left: use fewer -rows", records, need>>30, folder, free>>30)
	}
	return nil
}
