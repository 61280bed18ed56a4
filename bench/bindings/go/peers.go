package main

import (
	"sync"
	"time"

	"github.com/allegro/bigcache"
	"github.com/dgraph-io/ristretto"
	"github.com/golang/groupcache/lru"
	hashicorp "github.com/hashicorp/golang-lru"
	gocache "github.com/patrickmn/go-cache"
)

// subjects are made for so many items, and so much memory where that can be said. Each takes keys and values as its users
// would give them; what it does not copy is copied for it.
var subjects = map[string]func(items, memoryBytes int) cache{
	"nuthatch":      newNuthatch,
	"groupcache":    newGroupcache,
	"hashicorp-lru": newHashicorp,
	"sync.Map":      newSyncMap,
	"go-cache":      newGoCache,
	"bigcache":      newBigcache,
	"ristretto":     newRistretto,
}

func clone(data []byte) []byte { return append([]byte(nil), data...) }

func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

func isThere(value any, is bool) bool { return is && value.([]byte)[0] == 0 }

// groupcache/lru is for one thread: it is put under a mutex.
type groupcacheCache struct {
	mutex sync.Mutex
	lru   *lru.Cache
}

func newGroupcache(items, _ int) cache { return &groupcacheCache{lru: lru.New(items)} }
func (c *groupcacheCache) set(key, value []byte) {
	c.mutex.Lock()
	c.lru.Add(string(key), clone(value))
	c.mutex.Unlock()
}
func (c *groupcacheCache) get(key, _ []byte) bool {
	c.mutex.Lock()
	value, is := c.lru.Get(string(key))
	c.mutex.Unlock()
	return isThere(value, is)
}
func (c *groupcacheCache) held() int { return c.lru.Len() }

type hashicorpCache struct{ lru *hashicorp.Cache }

func newHashicorp(items, _ int) cache           { return hashicorpCache{must(hashicorp.New(items))} }
func (c hashicorpCache) set(key, value []byte)  { c.lru.Add(string(key), clone(value)) }
func (c hashicorpCache) get(key, _ []byte) bool { return isThere(c.lru.Get(string(key))) }
func (c hashicorpCache) held() int              { return c.lru.Len() }

// sync.Map never forgets.
type syncMapCache struct{ entries sync.Map }

func newSyncMap(int, int) cache                { return &syncMapCache{} }
func (c *syncMapCache) set(key, value []byte)  { c.entries.Store(string(key), clone(value)) }
func (c *syncMapCache) get(key, _ []byte) bool { return isThere(c.entries.Load(string(key))) }
func (c *syncMapCache) held() (count int) {
	c.entries.Range(func(_, _ any) bool { count++; return true })
	return count
}

// go-cache is a map with times to live.
type goCacheCache struct{ cache *gocache.Cache }

func newGoCache(int, int) cache               { return goCacheCache{gocache.New(time.Hour, time.Hour)} }
func (c goCacheCache) set(key, value []byte)  { c.cache.SetDefault(string(key), clone(value)) }
func (c goCacheCache) get(key, _ []byte) bool { return isThere(c.cache.Get(string(key))) }
func (c goCacheCache) held() int              { return c.cache.ItemCount() }

// bigcache keeps bytes in rings, with one time to live for all.
type bigcacheCache struct{ cache *bigcache.BigCache }

func newBigcache(items, _ int) cache {
	config := bigcache.DefaultConfig(time.Hour)
	config.MaxEntriesInWindow, config.MaxEntrySize, config.Verbose = items, 200, false
	return bigcacheCache{must(bigcache.NewBigCache(config))}
}
func (c bigcacheCache) set(key, value []byte) {
	if err := c.cache.Set(string(key), value); err != nil {
		panic(err)
	}
}
func (c bigcacheCache) get(key, _ []byte) bool {
	value, err := c.cache.Get(string(key))
	return err == nil && value[0] == 0
}
func (c bigcacheCache) held() int { return c.cache.Len() }

// ristretto admits by TinyLFU, and may drop what is set: while it is filled, it is waited for.
type ristrettoCache struct {
	cache *ristretto.Cache
	items int
}

func newRistretto(items, _ int) cache {
	return ristrettoCache{must(ristretto.NewCache(&ristretto.Config{
		NumCounters: 10 * int64(items), MaxCost: int64(items), BufferItems: 64,
	})), items}
}
func (c ristrettoCache) set(key, value []byte) {
	for !c.cache.Set(string(key), clone(value), 1) {
		time.Sleep(10 * time.Microsecond)
	}
}
func (c ristrettoCache) get(key, _ []byte) bool { return isThere(c.cache.Get(string(key))) }
func (c ristrettoCache) held() (count int) {
	var room [keyBytes]byte
	time.Sleep(100 * time.Millisecond) // what is in its buffer
	for item := 0; item < c.items; item++ {
		if _, is := c.cache.Get(string(key(&room, uint32(item)))); is {
			count++
		}
	}
	return count
}
