package nuthatch

import "context"

// An engine is where values are: this process's libnuthatch, or a server. Any goroutine may call any method. Keys are
// of at most keyBytesMax bytes and spaces below spacesMax, which Store sees to; what a method does not say of errors,
// errors.go does.
type engine interface {
	// get appends the value to dst.
	get(space uint32, key, dst []byte) ([]byte, error)
	// item is get with all that is known of the value.
	item(space uint32, key, dst []byte) (Item, error)
	// view calls look with the value's bytes, good until it returns.
	view(space uint32, key []byte, look func([]byte) error) error
	// fetch is get that may give the caller a lease; fetched.value is dst with the value appended.
	fetch(space uint32, key, dst []byte, leaseMs int64, early uint32) (fetched, error)

	// put stores copies. number is the expected version of putIfVersion and the lease of putLease.
	put(space uint32, how putHow, key, value []byte, s settings, number uint64) error
	giveUp(space uint32, key []byte, lease uint64) error
	extend(space uint32, key, more []byte, inFront bool) error
	remove(space uint32, key []byte) error
	touch(space uint32, key []byte, ttlMs int64) error
	makeStale(space uint32, key []byte) error
	increment(space uint32, key []byte, delta int64) (int64, error)

	purgeTag(tag string, soft bool) error
	clear(space uint32) error
	count(space uint32) (int64, error)
	stats() (Stats, error)

	// run does all of the batch.
	run(space uint32, batch *Batch) error
	// walk calls look with each key and value, good until it returns, until it returns false.
	walk(space uint32, look func(key, value []byte) bool) error

	save(ctx context.Context, path string) error
	close()
}

type putHow int32

const (
	putAlways putHow = iota // in the order of core.h
	putIfMissing
	putIfThere
	putIfVersion
	putLease
)

type fetchState int32

const (
	fetchHit fetchState = iota // in the order of nuthatch.h
	fetchHitLease
	fetchStale
	fetchStaleLease
	fetchMissWait
	fetchMissLease
)

type fetched struct {
	state    fetchState
	value    []byte
	lease    uint64
	negative bool
}
