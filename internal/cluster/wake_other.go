//go:build !linux

package cluster

import "net"

// wakeAt does nothing: a waiting reader is woken at each byte.
func wakeAt(net.Conn, int) {}
