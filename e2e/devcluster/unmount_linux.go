package devcluster

import "syscall"

// unmount detaches: something of the machine's owner may look at the mount, which must not stop us.
func unmount(path string) error { return syscall.Unmount(path, syscall.MNT_DETACH) }
