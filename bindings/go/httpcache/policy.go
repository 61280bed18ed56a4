//go:build cgo

package httpcache

/*
#cgo pkg-config: nuthatch
#include "glue.h"
*/
import "C"

import (
	"errors"
	"math"
	"net/http"
	"sort"
	"time"
	"unsafe"
)

// The rules are nuthatch_http.h's: the gateway's own. This file asks them.

type rules struct{ c C.nh_http_rules }

func flag(yes bool) C.uint32_t {
	if yes {
		return 1
	}
	return 0
}

func ms(d time.Duration) C.int64_t { return C.int64_t(d / time.Millisecond) }

func rulesOf(o *Options) rules {
	heuristic := o.HeuristicMax
	if heuristic == 0 {
		heuristic = 24 * time.Hour
	}
	if heuristic < 0 {
		heuristic = 0
	}
	return rules{C.nh_http_rules{
		size:                      C.size_t(unsafe.Sizeof(C.nh_http_rules{})),
		is_private:                flag(o.Private),
		forwards_all:              1, // a client, and a handler, see the request as it is
		stores_set_cookie:         flag(o.StoreSetCookie),
		ignores_cookies:           flag(o.IgnoreCookies),
		heuristic_ms_max:          ms(heuristic),
		default_ttl_ms:            ms(o.DefaultTTL),
		stale_if_error_ms:         ms(o.StaleIfError),
		stale_if_unreachable_ms:   ms(o.StaleIfError),
		stale_while_revalidate_ms: ms(o.StaleWhileRevalidate),
	}}
}

// lines are header fields as C takes them.
type lines struct {
	text  []byte
	sizes []C.uint32_t
}

// linesOf has the names in order, so that the same header is the same lines.
func linesOf(header http.Header) lines {
	var l lines
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range header[name] {
			l.add(name, value)
		}
	}
	return l
}

func (l *lines) add(name, value string) {
	l.text = append(append(l.text, name...), value...)
	l.sizes = append(l.sizes, C.uint32_t(len(name)), C.uint32_t(len(value)))
}

func (l *lines) count() C.uint32_t { return C.uint32_t(len(l.sizes) / 2) }

func (l *lines) pointers() (*C.char, *C.uint32_t, C.uint32_t) {
	if len(l.sizes) == 0 {
		return nil, nil, 0
	}
	return chars(l.text), &l.sizes[0], l.count()
}

// each calls take with the fields in order.
func (l *lines) each(take func(i int, name, value string)) {
	at := 0
	for i := 0; i < len(l.sizes); i += 2 {
		middle := at + int(l.sizes[i])
		end := middle + int(l.sizes[i+1])
		take(i/2, string(l.text[at:middle]), string(l.text[middle:end]))
		at = end
	}
}

func chars(bytes []byte) *C.char {
	if len(bytes) == 0 {
		return nil
	}
	return (*C.char)(unsafe.Pointer(&bytes[0]))
}

var errPolicy = errors.New("httpcache: a field that is none, or too many")

// What a request means to a cache.
type ask struct{ c C.nh_http_ask }

func (r *rules) ask(req *http.Request) (ask, error) {
	fields := linesOf(req.Header)
	text, sizes, count := fields.pointers()
	method := []byte(req.Method)
	if len(method) == 0 {
		method = []byte("GET")
	}
	bodyBytes := req.ContentLength
	if bodyBytes == 0 && req.Body != nil && req.Body != http.NoBody {
		bodyBytes = -1
	}
	asked := C.nhgo_read_request(r.c, chars(method), C.uint64_t(len(method)), C.int64_t(bodyBytes), text, sizes, count)
	if asked.result != C.NH_OK {
		return ask{}, errPolicy
	}
	return ask{asked.ask}, nil
}

func (a *ask) isCacheable() bool      { return a.c.is_cacheable != 0 }
func (a *ask) wants(flag uint32) bool { return uint32(a.c.flags)&flag != 0 }

func (a ask) withoutCredentials() ask {
	a.c.flags &^= C.uint32_t(askCredentials)
	return a
}

const (
	askCondition    = uint32(C.NH_HTTP_ASK_CONDITION)
	askRange        = uint32(C.NH_HTTP_ASK_RANGE)
	askValidation   = uint32(C.NH_HTTP_ASK_VALIDATION)
	askOnlyIfCached = uint32(C.NH_HTTP_ASK_ONLY_IF_CACHED)
	askCredentials  = uint32(C.NH_HTTP_ASK_AUTHORIZATION | C.NH_HTTP_ASK_COOKIE)
)

// What is kept of a response beside its fields and body.
type kept struct{ c C.nh_http_kept }

const (
	keptStorable  = uint32(C.NH_HTTP_KEPT_STORABLE)
	keptShareable = uint32(C.NH_HTTP_KEPT_SHAREABLE)
	keptOutdates  = uint32(C.NH_HTTP_KEPT_OUTDATES)
)

func (k *kept) is(flag uint32) bool { return uint32(k.c.flags)&flag != 0 }

// keepFor is how long it may be of any use.
func (k *kept) keepFor() time.Duration {
	if k.c.keep_ms > math.MaxInt64/C.int64_t(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(k.c.keep_ms) * time.Millisecond
}

type moment struct{ mono, wall time.Duration }

func (m moment) c() C.nh_http_moment {
	return C.nh_http_moment{mono_ms: ms(m.mono), wall_ms: ms(m.wall)}
}

func (r *rules) keep(a ask, status int, fields *lines, requested, received moment) (kept, error) {
	text, sizes, count := fields.pointers()
	read := C.nhgo_read_response(r.c, a.c, C.int32_t(status), text, sizes, count, requested.c(), received.c())
	if read.result != C.NH_OK {
		return kept{}, errPolicy
	}
	return kept{read.kept}, nil
}

// keptFields are those that others may be given.
func (r *rules) keptFields(fields *lines) (lines, error) {
	text, sizes, count := fields.pointers()
	if count == 0 {
		return lines{}, nil
	}
	isKept := make([]byte, count)
	if C.nhgo_keep_fields(r.c, text, sizes, count, (*C.uint8_t)(unsafe.Pointer(&isKept[0]))) != C.NH_OK {
		return lines{}, errPolicy
	}
	var some lines
	fields.each(func(i int, name, value string) {
		if isKept[i] != 0 {
			some.add(name, value)
		}
	})
	return some, nil
}

// varyOf are the names of Vary; false if nothing may be reused.
func varyOf(fields *lines) (string, bool) {
	text, sizes, count := fields.pointers()
	names := make([]byte, C.NH_HTTP_VARY_BYTES_MAX)
	said := C.nhgo_vary(text, sizes, count, chars(names), C.uint64_t(len(names)))
	if said.result != C.NH_OK {
		return "", false
	}
	return string(names[:int(said.size)]), true
}

const variantBytesMax = 8192

// variant is what the request says of names; false if that is too much.
func (r *rules) variant(names string, header http.Header) (string, bool) {
	fields := linesOf(header)
	text, sizes, count := fields.pointers()
	variant, list := make([]byte, variantBytesMax), []byte(names)
	said := C.nhgo_variant(r.c, chars(list), C.uint64_t(len(list)), text, sizes, count, chars(variant), C.uint64_t(len(variant)))
	if said.result != C.NH_OK {
		return "", false
	}
	return string(variant[:int(said.size)]), true
}

type use int

const (
	useNot        = use(C.NH_HTTP_USE_NOT)
	useFresh      = use(C.NH_HTTP_USE_FRESH)
	useStale      = use(C.NH_HTTP_USE_STALE)
	useRevalidate = use(C.NH_HTTP_USE_REVALIDATE)
	useValidated  = use(C.NH_HTTP_USE_VALIDATED)
	useUnwanted   = use(C.NH_HTTP_USE_UNWANTED)
)

func (r *rules) use(a ask, k kept, now moment) use {
	return use(C.nhgo_use(r.c, a.c, k.c, ms(now.mono)))
}

func (r *rules) mayStandIn(a ask, k kept, isUnreachable bool, now moment) bool {
	return C.nhgo_may_stand_in(r.c, a.c, k.c, C.int32_t(flag(isUnreachable)), ms(now.mono)) != 0
}

func (k *kept) freshSeconds(now moment) int64 {
	return int64(C.nhgo_fresh_ms(k.c, ms(now.mono)) / 1000)
}
func (k *kept) ageSeconds(now moment) int64 { return int64(C.nhgo_age_ms(k.c, ms(now.mono)) / 1000) }

// hasIt is whether the client has the response already.
func hasIt(header http.Header, fields *lines, now moment) bool {
	asked := linesOf(header)
	askedText, askedSizes, askedCount := asked.pointers()
	text, sizes, count := fields.pointers()
	return C.nhgo_has(askedText, askedSizes, askedCount, text, sizes, count, ms(now.wall)) != 0
}

// A part of a body, from start up to, but not with, end.
type part struct{ start, end int64 }

// partsOf are the parts of a kept 200 that its client wants: none: all of it; false: nothing of it is there.
func partsOf(header http.Header, fields *lines, bodyBytes int, now moment) (parts []part, isThere bool) {
	asked := linesOf(header)
	askedText, askedSizes, askedCount := asked.pointers()
	text, sizes, count := fields.pointers()
	said := C.nhgo_parts_of(askedText, askedSizes, askedCount, text, sizes, count, C.uint64_t(bodyBytes), ms(now.wall))
	if said.result != C.NH_OK {
		return nil, said.result != C.NH_RANGE
	}
	for _, one := range said.list[:said.count] {
		parts = append(parts, part{int64(one.start), int64(one.end)})
	}
	return parts, true
}

func isIn304(name string) bool {
	bytes := []byte(name)
	return C.nhgo_is_in_304(chars(bytes), C.uint64_t(len(bytes))) != 0
}

// addConditions asks by a kept response's validators whether it is still the one; false if it has none.
func addConditions(header http.Header, fields *lines) bool {
	text, sizes, count := fields.pointers()
	conditions := C.nhgo_conditions_of(text, sizes, count)
	fields.each(func(i int, _, value string) {
		switch C.int32_t(i) {
		case conditions.etag:
			header.Set("If-None-Match", value)
		case conditions.modified:
			header.Set("If-Modified-Since", value)
		}
	})
	return conditions.etag >= 0 || conditions.modified >= 0
}

// freshened are the fields with a 304's; false if that is about another response.
func freshened(fields, news *lines) (lines, bool) {
	text, sizes, count := fields.pointers()
	newsText, newsSizes, newsCount := news.pointers()
	places := make([]C.uint32_t, count+newsCount+1)
	said := C.nhgo_freshen(text, sizes, count, newsText, newsSizes, newsCount, &places[0])
	if said.result != C.NH_OK {
		return lines{}, false
	}
	type field struct{ name, value string }
	both := make([]field, 0, count+newsCount)
	add := func(_ int, name, value string) { both = append(both, field{name, value}) }
	fields.each(add)
	news.each(add)
	var merged lines
	for _, place := range places[:int(said.size)] {
		merged.add(both[place].name, both[place].value)
	}
	return merged, true
}

func invalidates(method string, status int) bool {
	bytes := []byte(method)
	return C.nhgo_invalidates(chars(bytes), C.uint64_t(len(bytes)), C.int32_t(status)) != 0
}

// resolved is what a Location leads to, if it is of the same origin.
func resolved(origin, path, reference string) (string, bool) {
	originBytes, pathBytes, referenceBytes := []byte(origin), []byte(path), []byte(reference)
	target := make([]byte, keyBytesMax)
	said := C.nhgo_resolve(chars(originBytes), C.uint64_t(len(originBytes)), chars(pathBytes), C.uint64_t(len(pathBytes)),
		chars(referenceBytes), C.uint64_t(len(referenceBytes)), chars(target), C.uint64_t(len(target)))
	if said.result != C.NH_OK {
		return "", false
	}
	return string(target[:int(said.size)]), true
}

func cSize(size uint32) C.uint32_t { return C.uint32_t(size) }
