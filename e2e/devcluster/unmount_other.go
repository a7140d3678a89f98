//go:build !linux

package devcluster

import "errors"

// unmount is never reached: Supported refuses before anything is mounted.
func unmount(string) error { return errors.ErrUnsupported }
