package main

import "nuthatch"

type nuthatchCache struct{ store *nuthatch.Store }

func newNuthatch(_, memoryBytes int) cache {
	return nuthatchCache{must(nuthatch.New(nuthatch.Options{MemoryBytes: uint64(memoryBytes)}))}
}

func (c nuthatchCache) set(key, value []byte) {
	if err := c.store.Set(key, value); err != nil {
		panic(err)
	}
}

func (c nuthatchCache) get(key, room []byte) bool {
	got, err := c.store.Get(key, room)
	return err == nil && got[0] == 0
}

func (c nuthatchCache) held() int { return int(must(c.store.Count())) }

func (c nuthatchCache) newBatch() func(keys [][]byte) (found int) {
	batch := c.store.NewBatch()
	return func(keys [][]byte) (found int) {
		batch.Reset()
		for _, key := range keys {
			batch.Get(key)
		}
		if err := batch.Run(); err != nil {
			panic(err)
		}
		for i := range keys {
			if got, err := batch.Value(i); err == nil && got[0] == 0 {
				found++
			}
		}
		return found
	}
}
