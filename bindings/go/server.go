package nuthatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// server is the engine of a cache server. Leases, soft times, tags and flags are nuthatch's own commands (NH.…): a server
// that has none of them, such as Redis, can be read and written, and GetOrLoad then loads once in each process.
type server struct {
	pool   *pool
	leases localLeases
}

func openServer(options ServerOptions) (engine, error) {
	s := &server{pool: newPool(options)}
	got, err := s.ask(0, true, words("PING")...) // a wrong address, or password, is told now
	if err == nil {
		err = got.err()
	}
	if err != nil {
		s.pool.close()
		return nil, err
	}
	return s, nil
}

func (s *server) ask(space uint32, mayRepeat bool, request ...[]byte) (reply, error) {
	replies, err := s.pool.ask(space, command(nil, request...), 1, mayRepeat)
	if err != nil {
		return reply{}, err
	}
	return replies[0], nil
}

// errorOf is a reply's error as one of ours, where there is such a one.
func errorOf(got *reply) error {
	if got.kind != '-' {
		return nil
	}
	text := string(got.text)
	switch {
	case strings.HasPrefix(text, "OOM"):
		return fmt.Errorf("%w: %s", ErrFull, text)
	case strings.Contains(text, "not an integer") && !strings.Contains(text, "overflow"):
		return ErrType
	case strings.Contains(text, "overflow"):
		return ErrRange
	case strings.Contains(text, "too large"), strings.Contains(text, "exceeds"):
		return fmt.Errorf("%w: %s", ErrTooLarge, text)
	}
	return got.err()
}

func isUnknownCommand(got *reply) bool {
	return got.kind == '-' && bytes.HasPrefix(got.text, []byte("ERR unknown command"))
}

func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

func (s *server) get(space uint32, key, dst []byte) ([]byte, error) {
	got, err := s.ask(space, true, []byte("GET"), key)
	if err == nil {
		err = errorOf(&got)
	}
	if err != nil {
		return dst, err
	}
	return appended(dst, &got)
}

func appended(dst []byte, got *reply) ([]byte, error) {
	if !got.isValue() {
		return dst, got.unexpected()
	}
	if got.isNull {
		return dst, ErrMissing
	}
	if len(dst) == 0 && cap(dst) == 0 {
		return got.text, nil
	}
	return append(dst, got.text...), nil
}

func (s *server) item(space uint32, key, dst []byte) (Item, error) {
	got, err := s.ask(space, true, []byte("NH.GET"), key)
	if err != nil {
		return Item{}, err
	}
	if isUnknownCommand(&got) {
		return Item{}, notSupported("the server is no nuthatch: it has no versions")
	}
	if err := errorOf(&got); err != nil {
		return Item{}, err
	}
	if got.field("value").isNull || got.field("negative").number != 0 {
		return Item{}, ErrMissing
	}
	item := Item{Stale: string(got.field("state").text) == "stale"}
	if item.Value, err = appended(dst, got.field("value")); err != nil {
		return Item{}, err
	}
	version, err := got.field("version").whole()
	if err != nil {
		return Item{}, err
	}
	flags, err := got.field("flags").whole()
	if err != nil {
		return Item{}, err
	}
	item.Version, item.Flags = version, uint32(flags)
	if ttl := got.field("ttl_ms").number; ttl > 0 {
		item.TTL = time.Duration(ttl) * time.Millisecond
	}
	return item, nil
}

func (s *server) view(space uint32, key []byte, look func([]byte) error) error {
	value, err := s.get(space, key, nil)
	if err != nil {
		return err
	}
	return look(value)
}

func (s *server) fetch(space uint32, key, dst []byte, leaseMs int64, early uint32) (fetched, error) {
	request := [][]byte{[]byte("NH.GET"), key, []byte("LEASE"), number(leaseMs)}
	if early > 0 {
		request = append(request, []byte("EARLY"), number(int64(early)))
	}
	got, err := s.ask(space, false, request...) // a lease that nobody heard of would have everybody wait
	if err != nil {
		return fetched{}, err
	}
	if isUnknownCommand(&got) {
		return s.fetchPlain(space, key, dst, leaseMs)
	}
	if err := errorOf(&got); err != nil {
		return fetched{}, err
	}
	found := fetched{value: dst, negative: got.field("negative").number != 0}
	if lease := got.field("lease"); !lease.isNull {
		if found.lease, err = lease.whole(); err != nil {
			return fetched{}, err
		}
	}
	if value := got.field("value"); !value.isNull {
		if found.value, err = appended(dst, value); err != nil {
			return fetched{}, err
		}
	}
	found.state, err = stateOf(string(got.field("state").text), found.lease != 0)
	return found, err
}

func stateOf(word string, hasLease bool) (fetchState, error) {
	switch {
	case word == "hit" && hasLease:
		return fetchHitLease, nil
	case word == "hit":
		return fetchHit, nil
	case word == "stale" && hasLease:
		return fetchStaleLease, nil
	case word == "stale":
		return fetchStale, nil
	case word == "missing" && hasLease:
		return fetchMissLease, nil
	case word == "missing", word == "wait":
		return fetchMissWait, nil
	}
	return 0, errProtocol
}

// fetchPlain is of a server without leases: they are given in this process.
func (s *server) fetchPlain(space uint32, key, dst []byte, leaseMs int64) (fetched, error) {
	value, err := s.get(space, key, dst)
	if err == nil {
		return fetched{state: fetchHit, value: value}, nil
	}
	if !errors.Is(err, ErrMissing) {
		return fetched{}, err
	}
	if lease := s.leases.take(space, key, leaseMs); lease != 0 {
		return fetched{state: fetchMissLease, value: dst, lease: lease}, nil
	}
	return fetched{state: fetchMissWait, value: dst}, nil
}

// putWords are what follows key and value.
func putWords(s *settings) [][]byte {
	var list [][]byte
	if s.ttl > 0 {
		list = append(list, []byte("PX"), number(s.ttl))
	}
	if s.softTTL > 0 {
		list = append(list, []byte("SOFTTTL"), number(s.softTTL))
	}
	if len(s.tags) > 0 {
		list = append(list, []byte("TAGS"), number(int64(len(s.tags))))
		list = append(list, words(s.tags...)...)
	}
	if s.cost > 0 {
		list = append(list, []byte("COST"), number(int64(s.cost)))
	}
	if s.flags != 0 {
		list = append(list, []byte("FLAGS"), number(int64(s.flags)))
	}
	if s.negative {
		list = append(list, []byte("NEGATIVE"))
	}
	return list
}

// Redis has the words for it.
func (s *settings) isPlain() bool {
	return s.softTTL <= 0 && len(s.tags) == 0 && s.flags == 0 && !s.negative
}

func (s *server) put(space uint32, how putHow, key, value []byte, set settings, number uint64) error {
	if set.ttl < 0 || set.softTTL < 0 {
		return notSupported("a server stores nothing whose time has passed already")
	}
	if set.keepTTL && (!set.isPlain() || how == putIfVersion || how == putLease) {
		return notSupported("a server keeps times to live with plain values only")
	}
	if how == putLease && number&localLease != 0 {
		if !set.isPlain() {
			return notSupported("the server is no nuthatch: it has no soft times, tags and flags")
		}
		if !s.leases.end(space, key, number) {
			return ErrChanged
		}
		how = putAlways
	} else if how != putLease {
		s.leases.forget(space, key)
	}
	request := [][]byte{[]byte("NH.SET"), key, value}
	if how == putLease {
		request = [][]byte{[]byte("NH.FILL"), key, strconv.AppendUint(nil, number, 10), value}
	}
	if set.isPlain() && how != putLease && how != putIfVersion {
		request[0] = []byte("SET")
		set = settings{ttl: set.ttl, keepTTL: set.keepTTL}
	}
	request = append(request, putWords(&set)...)
	if set.keepTTL {
		request = append(request, []byte("KEEPTTL"))
	}
	switch how {
	case putIfMissing:
		request = append(request, []byte("NX"))
	case putIfThere:
		request = append(request, []byte("XX"))
	case putIfVersion:
		request = append(request, []byte("IFVERSION"), strconv.AppendUint(nil, number, 10))
	}
	got, err := s.ask(space, false, request...)
	if err != nil {
		return err
	}
	return s.putError(space, how, key, &got)
}

func (s *server) putError(space uint32, how putHow, key []byte, got *reply) error {
	if isUnknownCommand(got) {
		return notSupported("the server is no nuthatch: it has no versions, soft times, tags and flags")
	}
	if err := errorOf(got); err != nil {
		return err
	}
	if !got.isNull {
		return nil
	}
	switch how {
	case putIfMissing:
		return ErrExists
	case putIfThere:
		return ErrMissing
	case putIfVersion:
		if err := s.oneOrElse(ErrMissing, space, true, []byte("EXISTS"), key); err != nil {
			return err
		}
	}
	return ErrChanged
}

func (s *server) giveUp(space uint32, key []byte, lease uint64) error {
	if lease&localLease != 0 {
		if s.leases.end(space, key, lease) {
			return nil
		}
		return ErrChanged
	}
	return s.oneOrElse(ErrChanged, space, false, []byte("NH.GIVEUP"), key, strconv.AppendUint(nil, lease, 10))
}

// askNumber is of commands that answer with a number.
func (s *server) askNumber(space uint32, mayRepeat bool, request ...[]byte) (int64, error) {
	got, err := s.ask(space, mayRepeat, request...)
	if err == nil {
		err = errorOf(&got)
	}
	if err != nil {
		return 0, err
	}
	return got.integer()
}

// oneOrElse is of commands that answer how many they have found.
func (s *server) oneOrElse(otherwise error, space uint32, mayRepeat bool, request ...[]byte) error {
	count, err := s.askNumber(space, mayRepeat, request...)
	if err == nil && count == 0 {
		err = otherwise
	}
	return err
}

func (s *server) extend(uint32, []byte, []byte, bool) error {
	return notSupported("a server's APPEND makes a key that is missing")
}

func (s *server) remove(space uint32, key []byte) error {
	s.leases.forget(space, key)
	return s.oneOrElse(ErrMissing, space, false, []byte("DEL"), key)
}

func (s *server) touch(space uint32, key []byte, ttlMs int64) error {
	switch {
	case ttlMs < 0:
		return s.remove(space, key)
	case ttlMs > 0:
		return s.oneOrElse(ErrMissing, space, true, []byte("PEXPIRE"), key, number(ttlMs))
	}
	// PERSIST answers 0 also of a key that has no end already.
	request := command(command(nil, []byte("EXISTS"), key), []byte("PERSIST"), key)
	replies, err := s.pool.ask(space, request, 2, true)
	if err != nil {
		return err
	}
	for i := range replies {
		if err := errorOf(&replies[i]); err != nil {
			return err
		}
	}
	count, err := replies[0].integer()
	if err == nil && count == 0 {
		err = ErrMissing
	}
	return err
}

func (s *server) makeStale(space uint32, key []byte) error {
	return s.oneOrElse(ErrMissing, space, true, []byte("NH.PURGE"), []byte("KEY"), key, []byte("SOFT"))
}

func (s *server) increment(space uint32, key []byte, delta int64) (int64, error) {
	s.leases.forget(space, key)
	return s.askNumber(space, false, []byte("INCRBY"), key, number(delta))
}

func (s *server) purgeTag(tag string, soft bool) error {
	request := words("NH.PURGE", "TAG", tag)
	if soft {
		request = append(request, []byte("SOFT"))
	}
	got, err := s.ask(0, true, request...)
	if err == nil {
		err = errorOf(&got)
	}
	return err
}

func (s *server) clear(space uint32) error {
	s.leases.clear(space)
	got, err := s.ask(space, true, []byte("FLUSHDB"))
	if err == nil {
		err = errorOf(&got)
	}
	return err
}

func (s *server) count(space uint32) (int64, error) {
	return s.askNumber(space, true, []byte("DBSIZE"))
}

func (s *server) stats() (Stats, error) {
	got, err := s.ask(0, true, []byte("INFO"))
	if err == nil {
		err = errorOf(&got)
	}
	if err != nil {
		return Stats{}, err
	}
	said := map[string]uint64{}
	for _, line := range strings.Split(string(got.text), "\r\n") {
		if name, value, found := strings.Cut(line, ":"); found {
			said[name], _ = strconv.ParseUint(value, 10, 64)
		}
	}
	return Stats{
		Memory: said["used_memory"], MemoryMax: said["maxmemory"],
		Hits: said["keyspace_hits"], Misses: said["keyspace_misses"],
		Expired: said["expired_keys"], Evicted: said["evicted_keys"],
	}, nil
}

func (s *server) save(context.Context, string) error {
	return notSupported("a server saves what it has itself")
}

func (s *server) close() { s.pool.close() }
