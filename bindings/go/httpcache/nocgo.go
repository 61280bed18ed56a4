//go:build !cgo

package httpcache

import (
	"net/http"

	"nuthatch"
)

// A Transport is an http.RoundTripper that caches, but not without cgo.
type Transport struct{ origin http.RoundTripper }

// NewTransport passes everything on: the rules are the C library's.
func NewTransport(_ *nuthatch.Store, origin http.RoundTripper, _ Options) *Transport {
	if origin == nil {
		origin = http.DefaultTransport
	}
	return &Transport{origin}
}

// RoundTrip has the origin answer.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.origin.RoundTrip(req)
}

// Handler is next: the rules are the C library's.
func Handler(_ *nuthatch.Store, next http.Handler, _ Options) http.Handler { return next }
