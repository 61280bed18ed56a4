//go:build cgo

package httpcache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand"
	"strings"
	"sync"
	"time"
	"unsafe"

	"nuthatch"
)

// An entry is a response that is kept.
type entry struct {
	kept   kept
	fields lines // those for everybody
	body   []byte
}

/*
What is in the store under "METHOD-less URL", and under it with the variant behind:

	'R' size of kept | kept | count | sizes | text | body     a response
	'V' generation names                                      it varies: a response lies under
	                                                          URL '\n' generation variant

Forgetting the second forgets all variants, as the next has another generation.
*/
const (
	kindResponse = 'R'
	kindVaries   = 'V'
	generation   = 8
)

func (e *entry) encode() []byte {
	keptBytes := unsafe.Slice((*byte)(unsafe.Pointer(&e.kept.c)), unsafe.Sizeof(e.kept.c))
	data := make([]byte, 0, 1+4*4+len(keptBytes)+len(e.fields.sizes)*4+len(e.fields.text)+len(e.body))
	data = append(data, kindResponse)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(keptBytes)))
	data = append(data, keptBytes...)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(e.fields.sizes)))
	for _, size := range e.fields.sizes {
		data = binary.LittleEndian.AppendUint32(data, uint32(size))
	}
	data = binary.LittleEndian.AppendUint32(data, uint32(len(e.fields.text)))
	data = append(data, e.fields.text...)
	return append(data, e.body...)
}

var errNoEntry = errors.New("httpcache: what lies under the key is no response of ours")

// decode reads what encode wrote; others may write to the store, so nothing is believed.
func decode(data []byte) (*entry, error) {
	e, rest, isCut := &entry{}, data[1:], false
	next := func(unit int) []byte {
		if isCut = isCut || len(rest) < 4; isCut {
			return nil
		}
		size := uint64(binary.LittleEndian.Uint32(rest)) * uint64(unit)
		if rest = rest[4:]; size > uint64(len(rest)) {
			isCut = true
			return nil
		}
		part := rest[:size]
		rest = rest[size:]
		return part
	}
	keptBytes := next(1)
	if len(keptBytes) != int(unsafe.Sizeof(e.kept.c)) {
		return nil, errNoEntry
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&e.kept.c)), unsafe.Sizeof(e.kept.c)), keptBytes)
	sizes := next(4)
	text := next(1)
	var total uint64
	for i := 0; i+4 <= len(sizes); i += 4 {
		size := binary.LittleEndian.Uint32(sizes[i:])
		total += uint64(size)
		e.fields.sizes = append(e.fields.sizes, cSize(size))
	}
	if isCut || total != uint64(len(text)) || len(e.fields.sizes)%2 != 0 || uintptr(e.kept.c.size) != unsafe.Sizeof(e.kept.c) ||
		e.kept.c.status < 200 || e.kept.c.status > 599 {
		return nil, errNoEntry
	}
	e.fields.text, e.body = text, rest
	return e, nil
}

const fenceCount = 256

// fences keep what was fetched before a URL was invalidated out of the store. Several URLs share one.
type fences [fenceCount]struct {
	mutex sync.Mutex
	count uint64
}

func (f *fences) place(primary string) int {
	hash := uint32(2166136261)
	for i := 0; i < len(primary); i++ {
		hash = (hash ^ uint32(primary[i])) * 16777619
	}
	return int(hash % fenceCount)
}

func (f *fences) count(primary string) uint64 {
	fence := &f[f.place(primary)]
	fence.mutex.Lock()
	defer fence.mutex.Unlock()
	return fence.count
}

// A place is where a request's response is, or would be.
type place struct {
	primary string
	names   string // of Vary; empty: it does not vary, as far as is known
	key     string // where to look
	entry   *entry // nil: nothing is there
}

// find looks a request up.
func (c *cache) find(primary string, header map[string][]string) place {
	at := place{primary: primary, key: primary}
	data, err := c.store.Get(nuthatch.Key(primary), nil)
	if err != nil || len(data) == 0 {
		return at
	}
	if data[0] == kindVaries && len(data) > 1+generation {
		at.names = string(data[1+generation:])
		variant, fits := c.rules.variant(at.names, header)
		if !fits {
			return at
		}
		at.key = variantKey(primary, data[1:1+generation], variant)
		if data, err = c.store.Get(nuthatch.Key(at.key), nil); err != nil || len(data) == 0 {
			return at
		}
	}
	if data[0] == kindResponse {
		at.entry, _ = decode(data)
	}
	return at
}

func variantKey(primary string, generation []byte, variant string) string {
	return primary + "\n" + string(generation) + variant
}

// put keeps an entry, unless the URL was invalidated since the fence had that count. False if it is not kept.
func (c *cache) put(primary string, header map[string][]string, e *entry, fenceBefore uint64) bool {
	names, isUsable := varyOf(&e.fields)
	if !isUsable {
		return false
	}
	fence := &c.fences[c.fences.place(primary)]
	fence.mutex.Lock()
	defer fence.mutex.Unlock()
	if fence.count != fenceBefore {
		return false
	}
	key, keepFor := primary, e.kept.keepFor()
	if keepFor <= 0 {
		return false
	}
	if names != "" {
		variant, fits := c.rules.variant(names, header)
		if !fits {
			return false
		}
		number, err := c.mark(primary, names, keepFor)
		if err != nil {
			return false
		}
		key = variantKey(primary, number, variant)
	}
	return c.store.Set(nuthatch.Key(key), e.encode(), nuthatch.TTL(keepFor)) == nil
}

// mark says under the URL what its responses vary by, and returns the generation of their keys.
func (c *cache) mark(primary, names string, keepFor time.Duration) ([]byte, error) {
	item, err := c.store.GetItem(nuthatch.Key(primary), nil)
	if err == nil && len(item.Value) > 1+generation && item.Value[0] == kindVaries && string(item.Value[1+generation:]) == names {
		number := append([]byte{}, item.Value[1:1+generation]...)
		if item.TTL > 0 && item.TTL < keepFor {
			err = c.store.Touch(nuthatch.Key(primary), keepFor)
		}
		return number, err
	}
	number := binary.LittleEndian.AppendUint64(nil, rand.Uint64())
	mark := bytes.Join([][]byte{{kindVaries}, number, []byte(names)}, nil)
	return number, c.store.Set(nuthatch.Key(primary), mark, nuthatch.TTL(keepFor))
}

// forget drops everything of a URL, what is on its way included.
func (c *cache) forget(primary string) {
	fence := &c.fences[c.fences.place(primary)]
	fence.mutex.Lock()
	defer fence.mutex.Unlock()
	fence.count++
	c.store.Delete(nuthatch.Key(primary))
}

// drop takes out what lies under one key, which is no use to anybody any more.
func (c *cache) drop(key string) { c.store.Delete(nuthatch.Key(key)) }

// forgetNamed drops what a Location leads to.
func (c *cache) forgetNamed(primary, reference string) {
	if reference == "" {
		return
	}
	origin, target := splitURL(primary)
	path, _, _ := strings.Cut(target, "?")
	if named, is := resolved(origin, path, reference); is && named != target {
		c.forget(origin + named)
	}
}

// splitURL is what comes before the path, and the path with its query.
func splitURL(url string) (origin, target string) {
	scheme := strings.Index(url, "://") + len("://")
	slash := strings.IndexByte(url[scheme:], '/')
	if slash < 0 {
		return url, "/"
	}
	return url[:scheme+slash], url[scheme+slash:]
}
