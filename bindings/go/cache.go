package nuthatch

import (
	"context"
	"sync"
)

// A Cache is a Store whose keys and values have types. Any goroutine may call any method.
type Cache[K comparable, V any] struct {
	store  *Store
	keys   Codec[K]
	values Codec[V]
}

// NewCache has a store's keys and values written and read by the two codecs. Two caches on one store want spaces of their
// own (Store.Space), or keys that never meet.
func NewCache[K comparable, V any](store *Store, keys Codec[K], values Codec[V]) *Cache[K, V] {
	return &Cache[K, V]{store: store, keys: keys, values: values}
}

// Store is what the cache lies in.
func (c *Cache[K, V]) Store() *Store { return c.store }

// Bytes of keys and values on their way to the store and back.
var buffers = sync.Pool{New: func() any { return &buffer{} }}

type buffer struct{ key, value []byte }

const bufferBytesMax = 64 << 10 // a larger one is not kept

func (b *buffer) release() {
	if cap(b.key) <= bufferBytesMax && cap(b.value) <= bufferBytesMax {
		buffers.Put(b)
	}
}

// encoded is a buffer with the key in it, or an error.
func (c *Cache[K, V]) encoded(key K) (*buffer, error) {
	var err error
	buffer := buffers.Get().(*buffer)
	buffer.key, err = c.keys.Append(buffer.key[:0], key)
	if err != nil {
		buffer.release()
		return nil, err
	}
	return buffer, nil
}

// Get returns the value of key. ErrMissing, or what the codecs say.
func (c *Cache[K, V]) Get(key K) (value V, err error) {
	buffer, err := c.encoded(key)
	if err != nil {
		return value, err
	}
	defer buffer.release()
	buffer.value, err = c.store.Get(buffer.key, buffer.value[:0])
	if err != nil {
		return value, err
	}
	return c.values.Decode(buffer.value)
}

// Set stores the value, whatever was there.
func (c *Cache[K, V]) Set(key K, value V, options ...Option) error {
	buffer, err := c.encoded(key)
	if err != nil {
		return err
	}
	defer buffer.release()
	if buffer.value, err = c.values.Append(buffer.value[:0], value); err != nil {
		return err
	}
	return c.store.Set(buffer.key, buffer.value, options...)
}

// Delete drops the value. ErrMissing if there was none.
func (c *Cache[K, V]) Delete(key K) error {
	buffer, err := c.encoded(key)
	if err != nil {
		return err
	}
	defer buffer.release()
	return c.store.Delete(buffer.key)
}

// GetMany returns the values of those keys that are there, read in one call.
func (c *Cache[K, V]) GetMany(keys []K) (map[K]V, error) {
	batch := c.store.NewBatch()
	buffer := buffers.Get().(*buffer)
	defer buffer.release()
	for _, key := range keys {
		var err error
		if buffer.key, err = c.keys.Append(buffer.key[:0], key); err != nil {
			return nil, err
		}
		batch.Get(buffer.key)
	}
	if err := batch.Run(); err != nil {
		return nil, err
	}
	values := make(map[K]V, len(keys))
	for i, key := range keys {
		data, err := batch.Value(i)
		if err == ErrMissing {
			continue
		}
		if err != nil {
			return nil, err
		}
		if values[key], err = c.values.Decode(data); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// GetOrLoad is Store.GetOrLoad with types.
func (c *Cache[K, V]) GetOrLoad(ctx context.Context, key K, load func(ctx context.Context, key K) (V, error),
	options ...Option) (value V, err error) {
	buffer, err := c.encoded(key)
	if err != nil {
		return value, err
	}
	defer buffer.release()
	buffer.value, err = c.store.GetOrLoad(ctx, buffer.key, buffer.value[:0], func(ctx context.Context) ([]byte, error) {
		loaded, err := load(ctx, key)
		if err != nil {
			return nil, err
		}
		return c.values.Append(nil, loaded)
	}, options...)
	if err != nil {
		return value, err
	}
	return c.values.Decode(buffer.value)
}
