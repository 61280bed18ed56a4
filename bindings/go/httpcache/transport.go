//go:build cgo

package httpcache

import (
	"net/http"
	"strings"

	"nuthatch"
)

// A Transport is an http.RoundTripper that caches. Any goroutine may use it.
type Transport struct{ cache *cache }

// NewTransport caches what origin, http.DefaultTransport if it is nil, answers.
func NewTransport(store *nuthatch.Store, origin http.RoundTripper, options Options) *Transport {
	if origin == nil {
		origin = http.DefaultTransport
	}
	return &Transport{newCache(store, origin, options)}
}

// RoundTrip answers a request from the store, or has the origin answer it.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return t.cache.origin.RoundTrip(req) // which says so
	}
	origin := strings.ToLower(req.URL.Scheme) + "://" + strings.ToLower(hostOf(req))
	res, err := t.cache.answer(req, origin)
	reason, isPassed := err.(passedOn)
	if !isPassed {
		return res, err
	}
	res, err = t.cache.roundTrip(req)
	if err != nil {
		// A write may have been carried out although we never heard of it.
		t.cache.wrote(req, origin, http.StatusOK, nil)
		return nil, err
	}
	t.cache.wrote(req, origin, res.StatusCode, res.Header)
	how := status{forward: string(reason), originStatus: res.StatusCode}
	how.write(res.Header, t.cache.now())
	return res, nil
}

// CloseIdleConnections is for http.Client's: it closes the origin's.
func (t *Transport) CloseIdleConnections() {
	if origin, is := t.cache.origin.(interface{ CloseIdleConnections() }); is {
		origin.CloseIdleConnections()
	}
}

// The key is of where the request goes and of the host that it names.
func hostOf(req *http.Request) string {
	if req.Host != "" && req.Host != req.URL.Host {
		return req.URL.Host + "!" + req.Host
	}
	return req.URL.Host
}
