package nuthatch

import (
	"sync"
	"time"
)

// localLease is in the number of every lease that this process has given.
const localLease uint64 = 1 << 63

// localLeases are leases for a server that has none.
type localLeases struct {
	mutex sync.Mutex
	last  uint64
	byKey map[flightKey]givenLease
}

type givenLease struct {
	number uint64
	until  time.Time
}

// take returns a new lease, or 0 if somebody has one.
func (l *localLeases) take(space uint32, key []byte, leaseMs int64) uint64 {
	name, now := flightKey{space, string(key)}, time.Now()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if given, is := l.byKey[name]; is && now.Before(given.until) {
		return 0
	}
	if l.byKey == nil {
		l.byKey = map[flightKey]givenLease{}
	}
	l.last++
	lease := givenLease{number: l.last | localLease, until: now.Add(time.Duration(leaseMs) * time.Millisecond)}
	l.byKey[name] = lease
	return lease.number
}

// end is true if the lease had not ended before.
func (l *localLeases) end(space uint32, key []byte, number uint64) bool {
	name := flightKey{space, string(key)}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	given, is := l.byKey[name]
	if !is || given.number != number {
		return false
	}
	delete(l.byKey, name)
	return time.Now().Before(given.until)
}

// clear ends the leases of a space, because all of its keys are deleted.
func (l *localLeases) clear(space uint32) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for name := range l.byKey {
		if name.space == space {
			delete(l.byKey, name)
		}
	}
}

// forget ends a lease because the key is written or deleted.
func (l *localLeases) forget(space uint32, key []byte) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.byKey, flightKey{space, string(key)})
}
