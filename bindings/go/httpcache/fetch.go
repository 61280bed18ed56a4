//go:build cgo

package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A fetch is one question to the origin: for whose request, and what is there already.
type fetch struct {
	cache    *cache
	flight   *flight
	req      *http.Request
	ask      ask
	at       place
	fence    uint64 // before it was asked
	patience *patience
}

// fly asks the origin for all who wait at key, or, with none, for one. Whatever the origin does, nobody waits for ever.
func (c *cache) fly(flight *flight, key string, req *http.Request, a ask, at place) {
	f := &fetch{cache: c, flight: flight, req: req, ask: a, at: at, fence: c.fences.count(at.primary)}
	var once sync.Once
	land := func() {
		once.Do(func() {
			if key != "" {
				c.flights.end(key, flight)
			}
			close(flight.done)
		})
	}
	defer land()
	defer c.after(c.options.FetchTimeout, land).Stop()
	if keep := f.begin(); keep != nil {
		keep()
	}
}

// originPanic is what the origin, a handler or a RoundTripper, panicked with.
type originPanic struct{ value any }

func (p *originPanic) Error() string {
	return fmt.Sprintf("httpcache: the origin panicked: %v", p.value)
}

// panicOf is what was recovered of a call that did not return: with nothing, it ended its goroutine.
func panicOf(value any) error {
	if value == nil {
		value = http.ErrAbortHandler
	}
	return &originPanic{value}
}

// begin has the flight's answer known, and returns what is left to do for keeping it. A panic is for who asked to hear of,
// not to end the program.
func (f *fetch) begin() (keep func()) {
	hasReturned := false
	defer func() {
		if value := recover(); !hasReturned {
			f.patience.end()
			f.flight.response, f.flight.entry, f.flight.err, keep = nil, nil, panicOf(value), nil
		}
		close(f.flight.head)
	}()
	keep = f.again()
	hasReturned = true
	return keep
}

// again asks the origin with all the time there is.
func (f *fetch) again() (keep func()) {
	f.patience = f.cache.newPatience(f.req.Context())
	return f.askOrigin()
}

func (f *fetch) askOrigin() (keep func()) {
	rules, flight := &f.cache.rules, f.flight
	out := f.req.Clone(f.patience.ctx)
	out.Cancel = nil // a caller's, as his context is
	// What is kept is whole, and by whose conditions he gets it is seen to later.
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"} {
		out.Header.Del(name)
	}
	isConditional := f.at.entry != nil && addConditions(out.Header, &f.at.entry.fields)
	flight.status = status{forward: forwardReason(f.ask, f.at)}

	requested := f.cache.now()
	res, err := f.cache.roundTrip(out)
	received := f.cache.now()
	if err != nil {
		f.patience.end()
		if f.at.entry != nil && rules.mayStandIn(f.ask, f.at.entry.kept, true, received) {
			f.standIn("unreachable")
		} else {
			flight.err = f.patience.told(err)
		}
		return nil
	}
	flight.status.originStatus = res.StatusCode
	news := linesOf(res.Header)
	if res.StatusCode == http.StatusNotModified && isConditional {
		res.Body.Close()
		f.patience.end()
		if f.validated(&news, requested, received) {
			return nil
		}
		f.cache.drop(f.at.key) // the 304 is about another response, which is wanted whole
		f.at.entry = nil
		return f.again()
	}
	if f.at.entry != nil && isFailure(res.StatusCode) && rules.mayStandIn(f.ask, f.at.entry.kept, false, received) {
		res.Body.Close()
		f.patience.end()
		f.standIn("origin-failed")
		return nil
	}
	k, err := rules.keep(f.ask, res.StatusCode, &news, requested, received)
	mayKeep := err == nil && k.is(keptStorable) && f.req.Method == http.MethodGet &&
		res.ContentLength <= f.cache.options.BodyBytesMax && len(res.Trailer) == 0 &&
		res.StatusCode != http.StatusSwitchingProtocols
	if !mayKeep {
		if err == nil {
			f.outdate(k)
		}
		f.pass(res)
		return nil
	}
	return f.capture(res, &news, k)
}

func isFailure(code int) bool {
	return code == 500 || code == 502 || code == 503 || code == 504
}

func forwardReason(a ask, at place) string {
	switch {
	case a.wants(askValidation):
		return "request"
	case at.entry != nil:
		return "stale"
	case at.names != "":
		return "vary-miss"
	}
	return "uri-miss"
}

// standIn gives what is kept instead of what the origin did not say.
func (f *fetch) standIn(detail string) {
	f.flight.entry, f.flight.status = f.at.entry, status{entry: f.at.entry, detail: detail}
}

// outdate forgets what is kept if an answer that is not tells of something newer.
func (f *fetch) outdate(k kept) {
	if k.is(keptOutdates) && f.at.entry != nil {
		f.cache.forget(f.at.primary)
	}
}

// validated is after a 304: what is kept is as new as that, and goes if nobody may keep it any more. False if the 304 is not
// about it.
func (f *fetch) validated(news *lines, requested, received moment) bool {
	rules, old := &f.cache.rules, f.at.entry
	merged, isSame := freshened(&old.fields, news)
	if !isSame {
		return false
	}
	k, err := rules.keep(f.ask, int(old.kept.c.status), &merged, requested, received)
	fields, keptErr := rules.keptFields(&merged)
	if err != nil || keptErr != nil {
		return false
	}
	fresh := &entry{kept: k, fields: fields, body: old.body}
	f.flight.entry, f.flight.status.entry = fresh, fresh
	if k.is(keptStorable) {
		f.flight.status.stored = f.cache.put(f.at.primary, f.req.Header, fresh, f.fence)
	}
	if f.flight.status.stored {
		return true
	}
	// What only this one's credentials are in the way of stays for the others, as old as it was.
	others, err := rules.keep(f.ask.withoutCredentials(), int(old.kept.c.status), &merged, requested, received)
	if k.is(keptStorable) || err != nil || !others.is(keptStorable) {
		f.cache.drop(f.at.key)
	}
	return true
}

// pass gives the answer to who began, as it comes.
func (f *fetch) pass(res *http.Response) {
	res.Body = &passedBody{ReadCloser: res.Body, end: f.patience.handOver(f.req)}
	f.flight.status.write(res.Header, f.cache.now())
	f.flight.response = res
}

// capture gives the answer to who began while it comes, and keeps it when it is there.
func (f *fetch) capture(res *http.Response, news *lines, k kept) (keep func()) {
	body, length := res.Body, res.ContentLength
	captured := &capture{changed: make(chan struct{}), patience: f.patience, req: f.req}
	res.Body = &captureReader{capture: captured}
	if res.Header.Get("Date") == "" {
		date := time.Unix(0, int64(f.cache.now().wall)).UTC().Format(http.TimeFormat)
		res.Header.Set("Date", date)
		news.add("Date", date)
	}
	f.flight.status.stored = true
	f.flight.status.write(res.Header, f.cache.now())
	f.flight.response = res
	return func() {
		var err error
		hasReturned := false
		defer func() {
			if value := recover(); !hasReturned {
				err = panicOf(value)
			}
			if err != nil {
				f.patience.end()
				captured.finish(f.patience.told(err))
			}
		}()
		err = captured.run(body, f.cache.options.BodyBytesMax, length)
		isWhole := err == io.EOF && len(res.Trailer) == 0
		if err == nil || err == errTooLarge || (err == io.EOF && !(isWhole && f.keep(news, k, captured.data))) {
			f.outdate(k)
		}
		hasReturned = true
	}
}

// keep puts the whole answer. False if it is not kept.
func (f *fetch) keep(news *lines, k kept, body []byte) bool {
	fields, err := f.cache.rules.keptFields(news)
	return err == nil && f.cache.put(f.at.primary, f.req.Header, &entry{kept: k, fields: fields, body: body}, f.fence)
}
