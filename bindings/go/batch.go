package nuthatch

import (
	"fmt"
	"sync"
	"time"
)

// A Batch is many operations that are done in one call, in their order, without a pointer or an allocation for each. Use it
// again and again: its memory stays. One goroutine at a time.
//
//	batch := store.NewBatch()
//	for _, id := range ids {
//		batch.Get(id)
//	}
//	if err := batch.Run(); err != nil {
//		return err
//	}
//	for i := range ids {
//		if value, err := batch.Value(i); err == nil {
//			use(value) // good until the next Reset or Run
//		}
//	}
//	batch.Reset()
type Batch struct {
	store      *Store
	operations []operation
	keys       []byte // one behind the other
	values     []byte // to be set
	room       []byte // values that were read
	getCount   int
	slotBytes  int // how large a value is expected to be: core.h
	isRun      bool
}

// What is expected of values before one was seen.
const firstSlotBytes = 128

// operation is core.h's nhgo_operation, byte for byte.
type operation struct {
	keyAt, valueAt uint64
	valueSize      uint64
	ttl, softTTL   int64
	keySize, flags uint32
	what, result   int32
	isDone         uint32
	reserved       uint32
}

const (
	batchGet int32 = iota // in the order of core.h
	batchSet
	batchDelete
)

// NewBatch is an empty batch on this store's space.
func (s *Store) NewBatch() *Batch { return &Batch{store: s, slotBytes: firstSlotBytes} }

// Reset empties the batch.
func (b *Batch) Reset() {
	b.operations, b.keys, b.values, b.room = b.operations[:0], b.keys[:0], b.values[:0], b.room[:0]
	b.getCount, b.isRun = 0, false
}

// Len is how many operations there are.
func (b *Batch) Len() int { return len(b.operations) }

// Get asks for a value. The key is copied.
func (b *Batch) Get(key []byte) {
	b.add(batchGet, key)
	b.getCount++
}

// Set stores a value; of the options those count that say TTL, SoftTTL or Flags.
func (b *Batch) Set(key, value []byte, options ...Option) {
	s := settingsOf(options)
	op := b.add(batchSet, key)
	op.valueAt, op.valueSize = uint64(len(b.values)), uint64(len(value))
	op.ttl, op.softTTL, op.flags = s.ttl, s.softTTL, s.flags
	b.values = append(b.values, value...)
	if len(s.tags) > 0 || s.keepTTL {
		op.refuse(resultUnsupported)
	}
}

// Delete drops a value.
func (b *Batch) Delete(key []byte) { b.add(batchDelete, key) }

// The operation that was added, until the next is.
func (b *Batch) add(what int32, key []byte) *operation {
	b.operations = append(b.operations, operation{what: what, keyAt: uint64(len(b.keys)), keySize: uint32(len(key))})
	op := &b.operations[len(b.operations)-1]
	if len(key) > keyBytesMax {
		op.keySize = 0
		op.refuse(resultTooLarge)
		return op
	}
	b.keys = append(b.keys, key...)
	return op
}

// It will not be asked of anybody.
func (op *operation) refuse(result int32) { op.isDone, op.result = 1, result }

// Results of ours beside the library's.
const (
	resultOK          int32 = 0
	resultMissing     int32 = 1
	resultTooLarge    int32 = 6
	resultFull        int32 = 7
	resultNoMemory    int32 = 8
	resultInvalid     int32 = 9
	resultUnsupported int32 = -2
)

func batchError(result int32) error {
	switch result {
	case resultOK:
		return nil
	case resultMissing:
		return ErrMissing
	case resultTooLarge:
		return ErrTooLarge
	case resultFull:
		return ErrFull
	case resultNoMemory:
		return ErrNoMemory
	case resultUnsupported:
		return notSupported("a batch sets values without tags and without KeepTTL")
	}
	return ErrInvalid
}

// Run does all of it; once, until Reset. What each has come to, Err and Value say; an error here is about all of them.
func (b *Batch) Run() error {
	if b.isRun {
		return fmt.Errorf("%w: a batch runs once: Reset it first", ErrInvalid)
	}
	b.isRun = true
	return b.store.engine.run(b.store.space, b)
}

// Err is what came of operation i.
func (b *Batch) Err(i int) error {
	if !b.isRun || b.operations[i].isDone == 0 {
		return fmt.Errorf("%w: the batch was not run", ErrInvalid)
	}
	return batchError(b.operations[i].result)
}

// Value is what a Get, operation i, has read: good until the next Reset. ErrMissing; of others ErrInvalid.
func (b *Batch) Value(i int) ([]byte, error) {
	op := &b.operations[i]
	if op.isDone == 0 || op.result != resultOK || op.what != batchGet || op.valueSize == 0 {
		return b.noBytes(i)
	}
	end := op.valueAt + op.valueSize
	return b.room[op.valueAt:end:end], nil
}

// Value, where there is not a byte of it.
func (b *Batch) noBytes(i int) ([]byte, error) {
	if err := b.Err(i); err != nil {
		return nil, err
	}
	if b.operations[i].what != batchGet {
		return nil, fmt.Errorf("%w: not a Get", ErrInvalid)
	}
	return []byte{}, nil
}

func (b *Batch) key(op *operation) []byte { return b.keys[op.keyAt : op.keyAt+uint64(op.keySize)] }

func (b *Batch) value(op *operation) []byte { return b.values[op.valueAt : op.valueAt+op.valueSize] }

// Batches for GetMany, which keeps them but for what it returns.
var batches = sync.Pool{New: func() any { return &Batch{slotBytes: firstSlotBytes} }}

// Larger ones are left to the collector.
const batchKeptBytes = 1 << 20

func (b *Batch) release() {
	b.store = nil
	if cap(b.operations) < batchKeptBytes/64 && cap(b.keys) < batchKeptBytes && cap(b.room) < batchKeptBytes {
		b.Reset()
		batches.Put(b)
	}
}

// GetMany reads many keys in one call: a value for each, nil for those that are missing. They lie in one piece of memory,
// which stays for as long as one of them is used.
func (s *Store) GetMany(keys [][]byte) ([][]byte, error) {
	batch := batches.Get().(*Batch)
	defer batch.release()
	batch.store = s
	for _, key := range keys {
		batch.Get(key)
	}
	if err := batch.Run(); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	room := append([]byte{}, batch.room...)
	for i := range keys {
		op := &batch.operations[i]
		if err := batchError(op.result); err == nil {
			end := op.valueAt + op.valueSize
			values[i] = room[op.valueAt:end:end]
		} else if err != ErrMissing {
			return nil, err
		}
	}
	return values, nil
}

// SetMany stores many values in one call. The first error is returned, and the others are stored all the same.
func (s *Store) SetMany(keys, values [][]byte, ttl time.Duration) error {
	if len(keys) != len(values) {
		return fmt.Errorf("%w: %d keys and %d values", ErrInvalid, len(keys), len(values))
	}
	batch := s.NewBatch()
	for i, key := range keys {
		batch.Set(key, values[i], TTL(ttl))
	}
	if err := batch.Run(); err != nil {
		return err
	}
	for i := range keys {
		if err := batch.Err(i); err != nil {
			return err
		}
	}
	return nil
}
