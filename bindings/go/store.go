package nuthatch

import (
	"context"
	"fmt"
	"time"
	"unsafe"
)

const (
	keyBytesMax = 65535
	spacesMax   = 1024
)

// A Store is a cache of bytes by bytes. Any goroutine may call any method at any time, Close included.
type Store struct {
	engine  engine
	flights *flights
	space   uint32
}

// New makes a store. Close it when it is not needed any more: its memory is not the garbage collector's.
func New(options Options) (*Store, error) {
	store, _, err := open(options, "")
	return store, err
}

// Restore is New with what Save has left at path, as far as it has not expired since and fits, and tells how many values
// that is. The file is removed. Without a file the store is empty. ErrCorrupt: the file is none of Save's, or damaged; it
// is left for somebody to look at, and New makes a store without it. ErrNotSupported with a server.
func Restore(options Options, path string) (*Store, uint64, error) {
	if path == "" {
		return nil, 0, fmt.Errorf("%w: say which file to restore from", ErrInvalid)
	}
	return open(options, path)
}

func open(options Options, path string) (*Store, uint64, error) {
	var made engine
	var restored uint64
	var err error
	if options.Server.Address == "" {
		made, restored, err = openLibrary(options, path)
	} else if path != "" {
		err = notSupported("a server restores what it saved itself")
	} else {
		made, err = openServer(options.Server)
	}
	if err != nil {
		return nil, 0, err
	}
	return &Store{engine: made, flights: newFlights()}, restored, nil
}

// Key is the bytes of a string, without a copy, to be passed as a key and not to be changed.
func Key(text string) []byte {
	if text == "" {
		return nil
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&text)), len(text))
}

// Space is the same store with keys of its own: the same key in two spaces is two. Numbers are below 1,024; with a server
// they are its databases. Options, memory and Close are shared, and so are tags.
func (s *Store) Space(number uint32) (*Store, error) {
	if number >= spacesMax {
		return nil, fmt.Errorf("%w: a space is a number below %d", ErrInvalid, spacesMax)
	}
	return &Store{engine: s.engine, flights: s.flights, space: number}, nil
}

func check(key []byte) error {
	if len(key) > keyBytesMax {
		return ErrTooLarge
	}
	return nil
}

// Get appends the value of key to dst and returns it, which is append's way: with nil for dst the value is in memory of its
// own, and with a slice that has room nothing is allocated. ErrMissing; dst is then returned as it was.
func (s *Store) Get(key, dst []byte) ([]byte, error) {
	if err := check(key); err != nil {
		return dst, err
	}
	return s.engine.get(s.space, key, dst)
}

// An Item is a value with all that is known of it.
type Item struct {
	Value   []byte
	Version uint64        // changes at every write of the key
	Flags   uint32        // as they were set
	TTL     time.Duration // left; 0: no end
	Stale   bool          // its soft time to live has passed, or a tag of it was purged softly
}

// GetItem is Get with all that is known of the value.
func (s *Store) GetItem(key, dst []byte) (Item, error) {
	if err := check(key); err != nil {
		return Item{}, err
	}
	return s.engine.item(s.space, key, dst)
}

// View calls look with the value's bytes where they lie, without a copy but for values of several pieces (much of a MiB and
// more). They are good, and unchanged, until look returns, whatever happens to the key meanwhile; look must not change or
// keep them, and may call the store. Returns what look does, or ErrMissing. While look runs the value's memory cannot be
// reused: if much is looked at for long, calls return ErrFull.
func (s *Store) View(key []byte, look func(value []byte) error) error {
	if err := check(key); err != nil {
		return err
	}
	return s.engine.view(s.space, key, look)
}

// Set stores copies of key and value, whatever was there. ErrTooLarge, ErrFull, ErrNoMemory: the old value stays, unless it
// was evicted in the search for room.
func (s *Store) Set(key, value []byte, options ...Option) error {
	return s.put(putAlways, key, value, options, 0)
}

// Add is Set if the key is missing, else ErrExists.
func (s *Store) Add(key, value []byte, options ...Option) error {
	return s.put(putIfMissing, key, value, options, 0)
}

// Replace is Set if the key is there, else ErrMissing.
func (s *Store) Replace(key, value []byte, options ...Option) error {
	return s.put(putIfThere, key, value, options, 0)
}

// CompareAndSwap is Set if the key is there at version (Item.Version), else ErrMissing or ErrChanged.
func (s *Store) CompareAndSwap(key, value []byte, version uint64, options ...Option) error {
	return s.put(putIfVersion, key, value, options, version)
}

func (s *Store) put(how putHow, key, value []byte, options []Option, number uint64) error {
	if err := check(key); err != nil {
		return err
	}
	settings := settingsOf(options)
	return s.engine.put(s.space, how, key, value, settings, number)
}

// Append adds more behind the value, in one step; times to live, flags and tags are kept. ErrMissing. With a server:
// ErrNotSupported.
func (s *Store) Append(key, more []byte) error {
	if err := check(key); err != nil {
		return err
	}
	return s.engine.extend(s.space, key, more, false)
}

// Prepend is Append, before the value.
func (s *Store) Prepend(key, more []byte) error {
	if err := check(key); err != nil {
		return err
	}
	return s.engine.extend(s.space, key, more, true)
}

// Delete drops the value. ErrMissing if there was none.
func (s *Store) Delete(key []byte) error {
	if err := check(key); err != nil {
		return err
	}
	return s.engine.remove(s.space, key)
}

// Touch has the value live for ttl from now: 0: until it is evicted; negative: not any more. ErrMissing.
func (s *Store) Touch(key []byte, ttl time.Duration) error {
	if err := check(key); err != nil {
		return err
	}
	return s.engine.touch(s.space, key, milliseconds(ttl))
}

// MakeStale has the value's soft time to live pass now: it is served, and the next GetOrLoad loads a new one. ErrMissing.
func (s *Store) MakeStale(key []byte) error {
	if err := check(key); err != nil {
		return err
	}
	return s.engine.makeStale(s.space, key)
}

// Increment adds delta to the value, a decimal number as text, in one step, and returns the sum; what is missing counts as
// 0. ErrType: it is no number; ErrRange: the sum does not fit.
func (s *Store) Increment(key []byte, delta int64) (int64, error) {
	if err := check(key); err != nil {
		return 0, err
	}
	return s.engine.increment(s.space, key, delta)
}

// PurgeTag drops every value of all spaces that carries the tag, at a cost that does not depend on how many there are. A
// few values of other tags may go with them.
func (s *Store) PurgeTag(tag string) error { return s.engine.purgeTag(tag, false) }

// PurgeTagSoftly makes stale what PurgeTag drops: it is served while GetOrLoad loads new values.
func (s *Store) PurgeTagSoftly(tag string) error { return s.engine.purgeTag(tag, true) }

// Clear drops every value of this space.
func (s *Store) Clear() error { return s.engine.clear(s.space) }

// Count is how many values this space holds, those included whose time has passed and whose memory nobody has asked for
// yet.
func (s *Store) Count() (int64, error) { return s.engine.count(s.space) }

// Range calls look with each key and value of this space until it returns false. Both are good until look returns. A key
// that is there from the beginning to the end is seen at least once, others perhaps; look may call the store.
func (s *Store) Range(look func(key, value []byte) bool) error { return s.engine.walk(s.space, look) }

// Stats are sums since the store was made, of all spaces.
type Stats struct {
	Items, ItemBytes        uint64 // values, and their memory with keys and bookkeeping
	Memory, MemoryMax       uint64 // bytes in use now, and the limit
	Hits, Misses            uint64
	Puts, Deletes           uint64
	Expired, Evicted        uint64
	Purged                  uint64 // because of a tag
	Rejected                uint64 // writes, for want of room or for their size
	StaleServed             uint64
	Leases, LeaseWaits      uint64 // loads begun, and calls that found one under way
	FillsRefused            uint64 // loads that came too late
	PinnedBytes             uint64 // memory that cannot be reused because of View
	Loads, LoadFailures     uint64 // of GetOrLoad, in this process
	LoadTime                time.Duration
	IndexBytes, SegmentSize uint64
}

// Stats reads them. Of a server: those that INFO tells.
func (s *Store) Stats() (Stats, error) {
	stats, err := s.engine.stats()
	if err == nil {
		s.flights.report(&stats)
	}
	return stats, err
}

// Save waits until no call is under way, refusing new ones with ErrClosed, then writes everything to the file at path for
// Restore, and closes the store. If ctx ends before, the store is open again as if nothing had been. The file appears
// complete or not at all. ErrNotSupported with a server.
func (s *Store) Save(ctx context.Context, path string) error { return s.engine.save(ctx, path) }

// Close has every call return ErrClosed from now on. It waits for nobody: calls and Views that are under way come to their
// end, and the memory is given back with the last of them. Loaders go on, and their values are for those who wait.
func (s *Store) Close() error {
	s.engine.close()
	return nil
}
