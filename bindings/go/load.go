package nuthatch

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	loadTimeoutMs   = 30000
	leaseMarginMs   = 1000 // a lease outlives its loader's time: nobody begins before that is over
	pauseMin        = time.Millisecond
	pauseMax        = 50 * time.Millisecond
	roundsOfWaiting = 4
)

// A Loader computes the value of a key. It runs in a goroutine of its own, with a context that belongs to none of the
// callers and ends with LoadTimeout.
type Loader func(ctx context.Context) ([]byte, error)

// A flight is one load that is under way.
type flight struct {
	done  chan struct{} // closed when what follows is known
	value []byte
	err   error
	// Nothing touched the key while the flight lasted: what it has is as new as a caller could ask for who came before it
	// ended.
	isCurrent bool
}

// flights are the loads of a store that are under way in this process, by space and key.
type flights struct {
	mutex    sync.Mutex
	byKey    map[flightKey]*flight
	loads    atomic.Uint64
	failures atomic.Uint64
	spent    atomic.Int64 // nanoseconds
}

type flightKey struct {
	space uint32
	key   string
}

func newFlights() *flights { return &flights{byKey: map[flightKey]*flight{}} }

func (f *flights) report(stats *Stats) {
	stats.Loads, stats.LoadFailures = f.loads.Load(), f.failures.Load()
	stats.LoadTime = time.Duration(f.spent.Load())
}

func (f *flights) find(key flightKey) *flight {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.byKey[key]
}

func (f *flights) add(key flightKey, begun *flight) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.byKey[key] = begun
}

// remove is for the flight that is there: a newer one under the same key stays.
func (f *flights) remove(key flightKey, ended *flight) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.byKey[key] == ended {
		delete(f.byKey, key)
	}
}

// GetOrLoad returns the key's value, appended to dst, and computes it by load if it is missing: once, however many ask,
// and with a server once for all of its clients. The options say how the value is then put.
//
// A value that is stale (SoftTTL, PurgeTagSoftly) is returned at once, while one loader renews it.
//
// The load belongs to no caller. When ctx ends, this call returns ctx.Err(), and the load goes on for the others and for the
// store, even if nobody waits any more; it ends after LoadTimeout, when its context is cancelled and who waits gets
// ErrLoadTimeout, whether or not the loader looks at it. An error of the loader is returned to all who wait, and
// nothing is stored: the next call loads again, unless it was ErrMissing and NegativeTTL says that this is remembered. A
// loader that panics is a *PanicError for all who wait.
//
// What was computed before the key was written, deleted or purged is not stored, and not given to a call that
// began after that.
func (s *Store) GetOrLoad(ctx context.Context, key, dst []byte, load Loader, options ...Option) ([]byte, error) {
	if err := check(key); err != nil {
		return dst, err
	}
	set := settingsOf(options)
	if set.loadTimeout <= 0 {
		set.loadTimeout = loadTimeoutMs
	}
	name := flightKey{space: s.space}
	pause := pauseMin
	for round := 0; ; {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		found, err := s.engine.fetch(s.space, key, dst, set.loadTimeout+leaseMarginMs, set.early)
		if err != nil && found.lease == 0 {
			return dst, err
		}
		if name.key == "" {
			name.key = string(key)
		}
		switch found.state {
		case fetchHit, fetchStale:
			return found.result(dst)
		case fetchHitLease, fetchStaleLease:
			s.begin(name, found.lease, load, set)
			if err == nil {
				return found.result(dst)
			}
			return dst, err
		case fetchMissLease:
			return s.begin(name, found.lease, load, set).wait(ctx, dst)
		case fetchMissWait:
		}
		flight := s.flights.find(name)
		if flight == nil { // somebody else's, or one that begins or ends in this moment
			if err := sleep(ctx, pause); err != nil {
				return dst, err
			}
			if pause = pause * 3 / 2; pause > pauseMax {
				pause = pauseMax
			}
			continue
		}
		value, err := flight.wait(ctx, dst)
		if flight.isOver() && !flight.isCurrent {
			// The key was touched meanwhile, perhaps before this call began. Where that never ends, one's own load is new enough.
			if round++; round < roundsOfWaiting {
				continue
			}
			return s.begin(name, 0, load, set).wait(ctx, dst)
		}
		return value, err
	}
}

func (f *fetched) result(dst []byte) ([]byte, error) {
	if f.negative {
		return dst, ErrMissing
	}
	return f.value, nil
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (f *flight) isOver() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

func (f *flight) wait(ctx context.Context, dst []byte) ([]byte, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		return dst, ctx.Err()
	}
	if f.err != nil {
		return dst, f.err
	}
	if dst = append(dst, f.value...); dst == nil {
		dst = []byte{}
	}
	return dst, nil
}

// begin loads in goroutines of its own. Without a lease, 0, nothing is stored, and nobody else finds the flight.
func (s *Store) begin(name flightKey, lease uint64, load Loader, set settings) *flight {
	begun := &flight{done: make(chan struct{})}
	if lease != 0 {
		s.flights.add(name, begun)
	}
	go s.fly(begun, name, lease, load, set)
	return begun
}

type loaded struct {
	value []byte
	err   error
}

func (s *Store) fly(flight *flight, name flightKey, lease uint64, load Loader, set settings) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(set.loadTimeout)*time.Millisecond)
	defer cancel()
	began := time.Now()
	outcome := make(chan loaded, 1) // of one: a loader that is late finds room, and its goroutine ends
	go call(ctx, load, outcome)

	var came loaded
	select {
	case came = <-outcome:
	case <-ctx.Done():
		came.err = ErrLoadTimeout
	}
	spent := time.Since(began)
	s.flights.loads.Add(1)
	s.flights.spent.Add(int64(spent))
	if came.err != nil && !errors.Is(came.err, ErrMissing) {
		s.flights.failures.Add(1)
	}
	set.cost = uint32(milliseconds(spent))
	flight.value, flight.err = came.value, came.err
	flight.isCurrent = s.land(name, lease, came, set)
	s.flights.remove(name, flight)
	close(flight.done)
}

// land stores what came, or gives the lease up. True if the lease had not ended before.
func (s *Store) land(name flightKey, lease uint64, came loaded, set settings) bool {
	if lease == 0 {
		return false
	}
	key := Key(name.key)
	switch {
	case came.err == nil:
		err := s.engine.put(name.space, putLease, key, came.value, set, lease)
		if err == nil {
			return true
		}
		if errors.Is(err, ErrChanged) {
			return false
		}
	case errors.Is(came.err, ErrMissing) && set.negativeTTL > 0:
		missing := settings{ttl: set.negativeTTL, negative: true, tags: set.tags, cost: set.cost}
		err := s.engine.put(name.space, putLease, key, nil, missing, lease)
		if err == nil {
			return true
		}
		if errors.Is(err, ErrChanged) {
			return false
		}
	}
	// It failed, or does not fit. Those who wait have what came; the next one may try.
	err := s.engine.giveUp(name.space, key, lease)
	return err == nil || errors.Is(err, ErrClosed)
}

// call runs the loader so that nothing it does ends more than itself, and tells what came of it in any case.
func call(ctx context.Context, load Loader, outcome chan<- loaded) {
	came := loaded{err: ErrLoaderExited}
	defer func() { outcome <- came }()
	defer func() {
		if value := recover(); value != nil {
			came.err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	came.value, came.err = load(ctx)
}
