// Package nuthatch is a cache of bytes by bytes inside a Go program, outside of the garbage collector's sight.
//
// A Store holds values in one mapping of a size that you set, all bookkeeping included, and evicts what is worth
// least when it is full. Values may have a time to live, a soft one after which they are stale but served, and tags
// by which they are purged. Any goroutine may call any method at any time.
//
//	store, err := nuthatch.New(nuthatch.Options{MemoryBytes: 256 << 20})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	err = store.Set([]byte("greeting"), []byte("hello"), nuthatch.TTL(time.Minute))
//	value, err := store.Get([]byte("greeting"), nil) // value is a copy, and yours
//
// Cache is a Store of typed keys and values, GetOrLoad reads through with one load for all who ask, and Batch
// takes many keys in one call.
//
// # With cgo and without
//
// Built with cgo the package needs libnuthatch, which it finds by pkg-config. Without cgo (CGO_ENABLED=0), or if
// Options.Server says so, the same methods ask a nuthatch cache server over the Redis protocol. What a
// server cannot do returns ErrNotSupported; a method says so.
//
// # Times
//
// Times to live count in milliseconds, on a clock that moves with the kernel's tick: a value may be served up to
// 10 ms longer than it was given.
package nuthatch
