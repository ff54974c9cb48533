package site

import "syscall"

func mount(path, options string) error { return syscall.Mount("tmpfs", path, "tmpfs", 0, options) }

func unmount(path string) error { return syscall.Unmount(path, syscall.MNT_DETACH) }
