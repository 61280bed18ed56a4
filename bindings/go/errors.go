package nuthatch

import (
	"errors"
	"fmt"
)

// What can come of a call. Compare with errors.Is.
var (
	ErrMissing      = errors.New("nuthatch: no such key, or its time has passed")
	ErrExists       = errors.New("nuthatch: the key is there already")
	ErrChanged      = errors.New("nuthatch: the key was changed meanwhile")
	ErrType         = errors.New("nuthatch: the value is not a decimal number")
	ErrRange        = errors.New("nuthatch: the number does not fit")
	ErrTooLarge     = errors.New("nuthatch: the key or the value is larger than may be")
	ErrFull         = errors.New("nuthatch: no room could be made: too much is being looked at, or written")
	ErrNoMemory     = errors.New("nuthatch: the system gave no memory")
	ErrInvalid      = errors.New("nuthatch: an argument that no call may have")
	ErrCorrupt      = errors.New("nuthatch: the file was not written by Save, or is damaged")
	ErrClosed       = errors.New("nuthatch: the store is closed")
	ErrNotSupported = errors.New("nuthatch: not possible here")
	ErrLoadTimeout  = errors.New("nuthatch: the loader took too long")
	ErrLoaderExited = errors.New("nuthatch: the loader ended its goroutine")
)

// PanicError is what GetOrLoad returns to everybody who waited for a loader that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // where
}

func (e *PanicError) Error() string { return fmt.Sprintf("nuthatch: the loader panicked: %v", e.Value) }

// Unwrap lets errors.Is look at an error that was panicked with.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ServerError is an error that a cache server answered with.
type ServerError struct {
	Text string // as it was sent, such as "NOAUTH Authentication required."
}

func (e *ServerError) Error() string { return "nuthatch: the server says: " + e.Text }

func notSupported(what string) error { return fmt.Errorf("%w: %s", ErrNotSupported, what) }
