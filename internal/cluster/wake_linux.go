package cluster

import (
	"net"
	"syscall"
)

// wakeAt sets how many bytes must have arrived before a waiting reader of c is woken; bytes that are there already count at once
// (tcp_set_rcvlowat in Linux). What it cannot set stays 1.
func wakeAt(c net.Conn, bytes int) {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := raw.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
		})
	}
}
