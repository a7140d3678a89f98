//go:build !unix

package app

// suspendable does nothing: no key stops a process here.
func (a *app) suspendable() (done func()) { return func() {} }
