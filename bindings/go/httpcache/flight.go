//go:build cgo

package httpcache

import (
	"net/http"
	"sync"
)

// A flight is one request to the origin whose answer others wait for.
type flight struct {
	head     chan struct{} // closed when what follows is known
	response *http.Response
	entry    *entry // instead of a response: what was validated, or what stands in for one
	status   status
	err      error

	done chan struct{} // closed when the answer is kept, is known not to be, or takes longer than others wait for it
}

// flights by where the answer would be kept.
type flights struct {
	mutex sync.Mutex
	byKey map[string]*flight
}

// join returns the flight under the key, which is the caller's to fly if it is new.
func (f *flights) join(key string) (joined *flight, isNew bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if joined = f.byKey[key]; joined != nil {
		return joined, false
	}
	joined = newFlight()
	f.byKey[key] = joined
	return joined, true
}

func newFlight() *flight { return &flight{head: make(chan struct{}), done: make(chan struct{})} }

// abandon is for an answer that nobody will read: it may be kept all the same.
func (f *flight) abandon() {
	<-f.head
	if f.response != nil {
		f.response.Body.Close()
	}
}

func (f *flights) end(key string, ended *flight) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.byKey[key] == ended {
		delete(f.byKey, key)
	}
}
