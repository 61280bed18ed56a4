//go:build cgo

package nuthatch

/*
#cgo pkg-config: nuthatch
#include "core.h"
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// The header's structs that this was written for: nh_abi_version.
const abiVersion = 4

// library is the engine in this process. Its gate is C's, and counts who is inside: core.h. A library that the garbage
// collector finds unreachable frees the gate, and is kept reachable for as long as a call uses it.
type library struct {
	gate      *C.nhgo_gate
	clock     func() time.Duration
	stopSweep chan struct{}
	closeOnce sync.Once
}

const (
	scratchBytes = 4096
	pageBytes    = 256 << 10
	pageEntries  = 1024

	firstRoomBytesMax = 64 << 10 // of a batch; it grows
)

// What a value is copied to before anybody knows how large it is.
var scratches = sync.Pool{New: func() any { return new([scratchBytes]byte) }}

var loans = sync.Pool{New: func() any { return new(C.nhgo_loan) }}

func openLibrary(options Options, path string) (engine, uint64, error) {
	if version := uint32(C.nh_abi_version()); version != abiVersion {
		return nil, 0, fmt.Errorf("nuthatch: the library found at run time is another version (%d) than this was built for (%d)",
			version, abiVersion)
	}
	l := &library{clock: options.Clock, stopSweep: make(chan struct{})}
	var file *C.char
	if path != "" {
		file = C.CString(path)
		defer C.free(unsafe.Pointer(file))
	}
	huge := C.uint32_t(0)
	if options.HugePages {
		huge = 1
	}
	opened := C.nhgo_open(C.uint64_t(options.MemoryBytes), C.uint64_t(options.ValueBytesMax), huge, file, l.now(), l.wall())
	if opened.result != C.NH_OK {
		return nil, 0, openError(opened, path)
	}
	l.gate = opened.gate
	runtime.SetFinalizer(l, func(l *library) { C.nhgo_free(l.gate) })
	if options.Clock == nil && options.SweepEvery >= 0 {
		every := options.SweepEvery
		if every == 0 {
			every = time.Second
		}
		go l.sweep(every)
	}
	return l, uint64(opened.restored), nil
}

// What went wrong with a store that was to be made, or with its file.
func openError(opened C.nhgo_opened, path string) error {
	switch opened.result {
	case C.NH_IO:
		return fmt.Errorf("nuthatch: %s: %w", path, syscall.Errno(opened.error_number))
	case C.NH_CORRUPT:
		return fmt.Errorf("%w: %s", ErrCorrupt, path)
	case C.NH_RANGE:
		return fmt.Errorf("%w: MemoryBytes is 1 MiB to 16 TiB", ErrRange)
	}
	return result(opened.result)
}

func (l *library) sweep(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			C.nhgo_sweep(l.gate, l.now(), 4096)
		case <-l.stopSweep:
			runtime.KeepAlive(l)
			return
		}
	}
}

func (l *library) now() C.int64_t {
	if l.clock == nil {
		return C.NHGO_OWN_CLOCK
	}
	return C.int64_t(l.clock() / time.Millisecond)
}

// The time of day, for files; with a Clock that clock's, so that what a test saves is as old as it says.
func (l *library) wall() C.int64_t {
	if l.clock == nil {
		return C.int64_t(time.Now().UnixMilli())
	}
	return l.now()
}

var results = [...]error{
	C.NH_OK:        nil,
	C.NH_MISSING:   ErrMissing,
	C.NH_EXISTS:    ErrExists,
	C.NH_CHANGED:   ErrChanged,
	C.NH_TYPE:      ErrType,
	C.NH_RANGE:     ErrRange,
	C.NH_TOO_LARGE: ErrTooLarge,
	C.NH_FULL:      ErrFull,
	C.NH_NO_MEMORY: ErrNoMemory,
	C.NH_INVALID:   ErrInvalid,
	C.NH_CORRUPT:   ErrCorrupt,
}

func result(code C.int32_t) error {
	if code == C.NHGO_CLOSED {
		return ErrClosed
	}
	if int(code) < len(results) && results[code] != nil || code == C.NH_OK {
		return results[code]
	}
	return fmt.Errorf("nuthatch: %s", C.GoString(C.nh_result_text(C.nh_result(code))))
}

// The address of bytes that C reads or writes while the call lasts; they hold no pointers.
func address(bytes []byte) *C.uint8_t {
	if cap(bytes) == 0 {
		return nil
	}
	return (*C.uint8_t)(unsafe.Pointer(&bytes[:1][0]))
}

func named(space uint32, key []byte) C.nhgo_key {
	return C.nhgo_key{size: C.uint32_t(len(key)), space: C.uint32_t(space)}
}

// Bytes behind dst that a value may be written to, and how many; the scratch is to be given back.
func roomOf(dst []byte) (room []byte, scratch *[scratchBytes]byte) {
	if room = dst[len(dst):cap(dst)]; len(room) >= 64 {
		return room, nil
	}
	scratch = scratches.Get().(*[scratchBytes]byte)
	return scratch[:], scratch
}

// dst with the value of size bytes that was written to room, which had the space.
func taken(dst, room []byte, scratch *[scratchBytes]byte, size int) []byte {
	if scratch == nil {
		return dst[:len(dst)+size]
	}
	dst = append(dst, room[:size]...)
	if dst == nil {
		dst = []byte{}
	}
	scratches.Put(scratch)
	return dst
}

// dst with room for size bytes more, and some for a value that grows meanwhile.
func withRoom(dst []byte, size int) []byte {
	grown := make([]byte, len(dst), len(dst)+size+size/8+64)
	copy(grown, dst)
	return grown
}

func (l *library) get(space uint32, key, dst []byte) ([]byte, error) {
	whole := dst
	for {
		room, scratch := roomOf(whole)
		got := C.nhgo_get(l.gate, l.now(), address(key), named(space, key), address(room), C.uint64_t(len(room)))
		runtime.KeepAlive(l)
		if got.result == C.NH_OK && int(got.size) <= len(room) {
			return taken(whole, room, scratch, int(got.size)), nil
		}
		if scratch != nil {
			scratches.Put(scratch)
		}
		if got.result != C.NH_OK {
			return dst, result(got.result)
		}
		whole = withRoom(dst, int(got.size)) // and again: it may be another value by then
	}
}

func (l *library) item(space uint32, key, dst []byte) (Item, error) {
	whole := dst
	for {
		room, scratch := roomOf(whole)
		read := C.nhgo_read(l.gate, l.now(), address(key), named(space, key), address(room), C.uint64_t(len(room)))
		runtime.KeepAlive(l)
		if read.result == C.NH_OK && int(read.size) <= len(room) {
			return Item{
				Value:   taken(whole, room, scratch, int(read.size)),
				Version: uint64(read.version),
				Flags:   uint32(read.flags),
				TTL:     time.Duration(read.ttl_ms) * time.Millisecond,
				Stale:   read.traits&C.NH_VALUE_STALE != 0,
			}, nil
		}
		if scratch != nil {
			scratches.Put(scratch)
		}
		if read.result != C.NH_OK {
			return Item{}, result(read.result)
		}
		whole = withRoom(dst, int(read.size))
	}
}

func (l *library) view(space uint32, key []byte, look func([]byte) error) error {
	loan := loans.Get().(*C.nhgo_loan)
	if code := C.nhgo_lend(l.gate, l.now(), address(key), named(space, key), loan); code != C.NH_OK {
		loans.Put(loan)
		return result(code)
	}
	defer func() {
		C.nhgo_return(l.gate, loan)
		runtime.KeepAlive(l)
		loans.Put(loan)
	}()
	size := int(loan.value.size)
	if int(loan.value.bytes.size) == size {
		bytes := unsafe.Slice((*byte)(loan.value.bytes.data), size)
		return look(bytes[:size:size])
	}
	whole := make([]byte, size)
	if code := C.nhgo_copy_pieces(l.gate, loan, address(whole)); code != C.NH_OK {
		return result(code)
	}
	return look(whole)
}

func (l *library) fetch(space uint32, key, dst []byte, leaseMs int64, early uint32) (fetched, error) {
	room, scratch := roomOf(dst)
	read := C.nhgo_fetch(l.gate, l.now(), address(key), named(space, key), C.int64_t(leaseMs), C.uint32_t(early),
		address(room), C.uint64_t(len(room)))
	runtime.KeepAlive(l)
	found := fetched{
		state:    fetchState(read.state),
		value:    dst,
		lease:    uint64(read.lease),
		negative: read.traits&C.NH_VALUE_NEGATIVE != 0,
	}
	if read.result == C.NH_OK && found.state <= fetchStaleLease && int(read.size) <= len(room) {
		found.value = taken(dst, room, scratch, int(read.size))
		return found, nil
	}
	if scratch != nil {
		scratches.Put(scratch)
	}
	if read.result != C.NH_OK || found.state > fetchStaleLease || found.negative {
		return found, result(read.result)
	}
	// There was no room: the value is asked for again, and the lease, if there is one, is ours in any case.
	var err error
	found.value, err = l.get(space, key, withRoom(dst, int(read.size)))
	if err == ErrMissing {
		found.state = fetchMissWait
		if found.lease != 0 {
			found.state = fetchMissLease
		}
		found.value, err = dst, nil
	}
	return found, err
}

// Tags as C has them.
func flattened(tags []string) (text []byte, sizes []C.uint32_t) {
	for _, tag := range tags {
		text = append(text, tag...)
		sizes = append(sizes, C.uint32_t(len(tag)))
	}
	return text, sizes
}

func flag(yes bool) C.uint32_t {
	if yes {
		return 1
	}
	return 0
}

func (l *library) put(space uint32, how putHow, key, value []byte, s settings, number uint64) error {
	var firstSize *C.uint32_t
	text, sizes := flattened(s.tags)
	if len(sizes) > 0 {
		firstSize = &sizes[0]
	}
	code := C.nhgo_put(l.gate, l.now(), C.int32_t(how), address(key), named(space, key), address(value),
		C.uint64_t(len(value)), C.nhgo_settings{
			ttl_ms:      C.int64_t(s.ttl),
			soft_ttl_ms: C.int64_t(s.softTTL),
			flags:       C.uint32_t(s.flags),
			cost_ms:     C.uint32_t(s.cost),
			keep_ttl:    flag(s.keepTTL),
			negative:    flag(s.negative),
		}, address(text), firstSize, C.uint32_t(len(sizes)), C.uint64_t(number))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) giveUp(space uint32, key []byte, lease uint64) error {
	code := C.nhgo_give_up(l.gate, address(key), named(space, key), C.uint64_t(lease))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) extend(space uint32, key, more []byte, inFront bool) error {
	code := C.nhgo_extend(l.gate, l.now(), address(key), named(space, key), address(more), C.uint64_t(len(more)),
		C.int32_t(flag(inFront)))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) remove(space uint32, key []byte) error {
	code := C.nhgo_delete(l.gate, l.now(), address(key), named(space, key))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) touch(space uint32, key []byte, ttlMs int64) error {
	code := C.nhgo_touch(l.gate, l.now(), address(key), named(space, key), C.int64_t(ttlMs))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) makeStale(space uint32, key []byte) error {
	code := C.nhgo_make_stale(l.gate, l.now(), address(key), named(space, key))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) increment(space uint32, key []byte, delta int64) (int64, error) {
	sum := C.nhgo_increment(l.gate, l.now(), address(key), named(space, key), C.int64_t(delta))
	runtime.KeepAlive(l)
	if sum.result != C.NH_OK {
		return 0, result(sum.result)
	}
	return int64(sum.sum), nil
}

func (l *library) purgeTag(tag string, soft bool) error {
	how := C.int32_t(C.NH_PURGE_DROP)
	if soft {
		how = C.NH_PURGE_SOFT
	}
	code := C.nhgo_purge_tag(l.gate, address(Key(tag)), C.uint64_t(len(tag)), how)
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) clear(space uint32) error {
	code := C.nhgo_clear(l.gate, C.uint32_t(space))
	runtime.KeepAlive(l)
	return result(code)
}

func (l *library) count(space uint32) (int64, error) {
	count := C.nhgo_count(l.gate, C.uint32_t(space))
	runtime.KeepAlive(l)
	return int64(count.sum), result(count.result)
}

func (l *library) stats() (Stats, error) {
	var read C.nh_stats
	code := C.nhgo_stats(l.gate, &read)
	runtime.KeepAlive(l)
	if code != C.NH_OK {
		return Stats{}, result(code)
	}
	return Stats{
		Items: uint64(read.items), ItemBytes: uint64(read.item_bytes),
		Memory: uint64(read.memory_bytes), MemoryMax: uint64(read.memory_bytes_max),
		Hits: uint64(read.hits), Misses: uint64(read.misses),
		Puts: uint64(read.puts), Deletes: uint64(read.deletes),
		Expired: uint64(read.expired), Evicted: uint64(read.evicted), Purged: uint64(read.purged),
		Rejected: uint64(read.rejected), StaleServed: uint64(read.stale_served),
		Leases: uint64(read.leases), LeaseWaits: uint64(read.lease_waits), FillsRefused: uint64(read.fills_refused),
		PinnedBytes: uint64(read.pinned_bytes),
		IndexBytes:  uint64(read.index_bytes), SegmentSize: uint64(read.segment_bytes),
	}, nil
}

func (l *library) run(space uint32, batch *Batch) error {
	if len(batch.operations) == 0 {
		return nil
	}
	batch.room = batch.room[:0]
	if room := batch.getCount * batch.slotBytes; cap(batch.room) == 0 && room > 0 {
		if room > firstRoomBytesMax {
			room = firstRoomBytesMax
		}
		batch.room = make([]byte, 0, room)
	}
	for {
		done := C.nhgo_batch(l.gate, l.now(), C.uint32_t(space),
			(*C.nhgo_operation)(unsafe.Pointer(&batch.operations[0])), C.uint64_t(len(batch.operations)),
			address(batch.keys), address(batch.values), address(batch.room), C.uint64_t(len(batch.room)),
			C.uint64_t(cap(batch.room)), C.uint64_t(batch.slotBytes))
		runtime.KeepAlive(l)
		batch.slotBytes = int(done.slot_bytes)
		batch.room = batch.room[:int(done.used)]
		if done.result != C.NH_OK || done.want == 0 {
			return result(done.result)
		}
		// What is there stays where it is in the room, so that what was read stays read.
		grown := make([]byte, len(batch.room), 2*cap(batch.room)+int(done.want)+len(batch.operations)*64)
		copy(grown, batch.room)
		batch.room = grown
	}
}

// What a Go operation and C's have in common is everything.
var _ = [1]struct{}{}[unsafe.Sizeof(operation{})-unsafe.Sizeof(C.nhgo_operation{})]

func (l *library) walk(space uint32, look func(key, value []byte) bool) error {
	room, entries := make([]byte, pageBytes), make([]C.nhgo_entry, pageEntries)
	for position := C.uint64_t(0); ; {
		page := C.nhgo_walk(l.gate, l.now(), C.uint32_t(space), position, &entries[0], C.uint64_t(len(entries)),
			address(room), C.uint64_t(len(room)))
		runtime.KeepAlive(l)
		if page.result == C.NH_TOO_LARGE {
			room, entries = make([]byte, 2*len(room)), make([]C.nhgo_entry, 2*len(entries))
			continue
		}
		if page.result != C.NH_OK {
			return result(page.result)
		}
		for i := range entries[:int(page.count)] {
			goOn, err := l.show(space, &entries[i], room, look)
			if err != nil || !goOn {
				return err
			}
		}
		if position = page.position; position == 0 {
			return nil
		}
	}
}

func (l *library) show(space uint32, entry *C.nhgo_entry, room []byte, look func(key, value []byte) bool) (bool, error) {
	end := uint64(entry.at) + uint64(entry.key_size)
	key := room[entry.at:end:end]
	if entry.has_value != 0 {
		end += uint64(entry.value_size)
		return look(key, room[end-uint64(entry.value_size):end:end]), nil
	}
	value, err := l.get(space, key, nil)
	if err == ErrMissing {
		return true, nil
	}
	return err == nil && look(key, value), err
}

func (l *library) save(ctx context.Context, path string) error {
	if C.nhgo_hold(l.gate) == 0 {
		return ErrClosed
	}
	for pause := 10 * time.Microsecond; C.nhgo_is_idle(l.gate) == 0; pause = pause*3/2 + time.Microsecond {
		if pause > 10*time.Millisecond {
			pause = 10 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			C.nhgo_unhold(l.gate)
			runtime.KeepAlive(l)
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	saved := C.nhgo_save(l.gate, file, l.now(), l.wall())
	l.closeOnce.Do(func() { close(l.stopSweep) })
	runtime.KeepAlive(l)
	if saved.result != C.NH_OK {
		return openError(saved, path)
	}
	return nil
}

func (l *library) close() {
	C.nhgo_close(l.gate)
	runtime.KeepAlive(l)
	l.closeOnce.Do(func() { close(l.stopSweep) })
}
