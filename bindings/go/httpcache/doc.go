// Package httpcache keeps HTTP responses in a nuthatch.Store by the rules of RFC 9111, the same functions that decide for
// nuthatch's gateway. A Transport caches what a client asks of others, Handler what a handler of one's own answers:
//
//	client := &http.Client{Transport: httpcache.NewTransport(store, nil, httpcache.Options{})}
//	http.ListenAndServe(address, httpcache.Handler(store, mux, httpcache.Options{}))
//
// Kept are responses to GET, as far as they and their requests allow; of many who miss the same, one asks. What is stale
// is validated by its ETag or Last-Modified, given meanwhile if stale-while-revalidate says so, and instead of an error
// as far as stale-if-error does. Answers are found by URL and by what Vary names. A POST, PUT, DELETE or the like that
// succeeds has what is kept of its URL forgotten, and of those that its Location and Content-Location name. Each
// answer says how it was come by in Cache-Status (RFC 9211).
//
// A request for ranges is given them of what is kept whole. Not kept, and passed on as they are: other answers to such
// requests, to requests with a body, partial answers, those with trailers, and those larger than Options.BodyBytesMax.
//
// The package wants cgo, for the rules are the C library's. Without it everything is passed on, and nothing kept.
package httpcache

import "time"

// Options say what the rules leave open. The zero value is a cache that all share, as strict as RFC 9111.
type Options struct {
	// Private is for a client that acts for one user: what is marked private, and answers to requests with
	// Authorization or Cookie, are kept too. Never set it where one store serves several users.
	Private bool

	BodyBytesMax int64 // larger answers are passed on and not kept; 0: 1 MiB

	// FetchTimeout is how long an origin may be silent, before its answer begins and between two pieces of one that is to be
	// kept; 0: 60 s. A body that goes on for longer is not cut, and kept when it is whole: others wait no longer than this
	// for it, and ask for themselves. What nobody reads any more has this much time to come to its end.
	FetchTimeout time.Duration

	HeuristicMax         time.Duration // an answer that does not say is fresh for a tenth of its age, at most; 0: 24 h; negative: not
	DefaultTTL           time.Duration // an answer that does not say is fresh for so long instead
	StaleIfError         time.Duration // past its freshness, where an answer does not say
	StaleWhileRevalidate time.Duration // likewise
	StoreSetCookie       bool          // an answer that sets a cookie is kept like others, without the cookie
	IgnoreCookies        bool          // the answer to a request with a cookie is kept like others

	// Clock replaces the machine's: the time of day, which must not go back. For tests.
	Clock func() time.Time
}

// ErrFetchTimeout is told of an origin that was silent for longer than Options.FetchTimeout. It is a net.Error.
var ErrFetchTimeout error = fetchTimeoutError{}

type fetchTimeoutError struct{}

func (fetchTimeoutError) Error() string {
	return "httpcache: the origin was silent for longer than FetchTimeout"
}
func (fetchTimeoutError) Timeout() bool   { return true }
func (fetchTimeoutError) Temporary() bool { return true }

const (
	bodyBytesMax = 1 << 20
	fetchTimeout = 60 * time.Second
	keyBytesMax  = 4096
)
