package nuthatch

import (
	"crypto/tls"
	"math"
	"time"
)

// Options say what a store is like. The zero value is a store of 64 MiB in this process, or, without cgo, nothing.
type Options struct {
	MemoryBytes   uint64 // the limit, all included; 0: 64 MiB; 1 MiB to 16 TiB
	ValueBytesMax uint64 // larger values are refused; 0: 64 MiB; at most half of MemoryBytes
	HugePages     bool   // ask for transparent huge pages

	// SweepEvery is how often memory of expired values is looked for; 0: each second; negative: never, and with a
	// Clock neither. Expired values are not served in any case.
	SweepEvery time.Duration

	// Clock replaces the machine's: what has passed since some moment. It must not go back. Save and
	// Restore take it for the time of day, too. For tests.
	Clock func() time.Duration

	// Server is the address of a nuthatch cache server, such as "127.0.0.1:6379" or "unix:/run/nuthatch.sock": values
	// are there then, and the options above mean nothing.
	Server ServerOptions
}

// ServerOptions say how a cache server is reached.
type ServerOptions struct {
	Address            string
	Username, Password string
	TLS                *tls.Config   // not nil: connect by TLS
	Timeout            time.Duration // for connecting, and for each exchange; 0: 2 s
	ConnectionsMax     int           // at a time; 0: 64. Who wants one more waits
}

// An Option says how a value is put, or loaded.
type Option struct {
	kind   optionKind
	number int64
	tags   []string
}

type optionKind uint8

const (
	optionTTL optionKind = iota
	optionSoftTTL
	optionFlags
	optionKeepTTL
	optionTags
	optionLoadTimeout
	optionNegativeTTL
	optionEarly
)

// TTL is how long the value lives; 0: until it is evicted; negative: its time has passed already, so that the key is
// missing. Less than a millisecond counts as one.
func TTL(ttl time.Duration) Option { return Option{kind: optionTTL, number: milliseconds(ttl)} }

// SoftTTL is how long the value is fresh. After it the value is stale: still served, but GetOrLoad loads a new one
// meanwhile.
func SoftTTL(ttl time.Duration) Option { return Option{kind: optionSoftTTL, number: milliseconds(ttl)} }

// Tags are names by which PurgeTag finds the value; 128 at most.
func Tags(names ...string) Option { return Option{kind: optionTags, tags: names} }

// Flags are 32 bits that come back with the value (Item.Flags).
func Flags(flags uint32) Option { return Option{kind: optionFlags, number: int64(flags)} }

// KeepTTL leaves the key the times to live that it has, if it is there.
func KeepTTL() Option { return Option{kind: optionKeepTTL} }

// LoadTimeout is how long a loader of GetOrLoad may take; 0: 30 s. See GetOrLoad.
func LoadTimeout(timeout time.Duration) Option {
	return Option{kind: optionLoadTimeout, number: milliseconds(timeout)}
}

// NegativeTTL has GetOrLoad remember for so long that a loader returned ErrMissing: nobody asks it again meanwhile.
func NegativeTTL(ttl time.Duration) Option {
	return Option{kind: optionNegativeTTL, number: milliseconds(ttl)}
}

// Early has GetOrLoad load anew before the value's time is over, the likelier the nearer that is and the longer the
// last load took (XFetch): 100 percent is usual. Everybody is served what is there meanwhile.
func Early(percent uint32) Option { return Option{kind: optionEarly, number: int64(percent)} }

// settings are Options put together.
type settings struct {
	ttl, softTTL             int64 // milliseconds
	flags, cost              uint32
	keepTTL, negative        bool
	tags                     []string
	loadTimeout, negativeTTL int64
	early                    uint32
}

func settingsOf(options []Option) settings {
	var s settings
	for i := range options {
		option := &options[i]
		switch option.kind {
		case optionTTL:
			s.ttl = option.number
		case optionSoftTTL:
			s.softTTL = option.number
		case optionFlags:
			s.flags = uint32(option.number)
		case optionKeepTTL:
			s.keepTTL = true
		case optionTags:
			s.tags = option.tags
		case optionLoadTimeout:
			s.loadTimeout = option.number
		case optionNegativeTTL:
			s.negativeTTL = option.number
		case optionEarly:
			s.early = uint32(option.number)
		}
	}
	return s
}

// milliseconds rounds up, away from 0: a time that is there is never none.
func milliseconds(d time.Duration) int64 {
	switch {
	case d < 0:
		return -1
	case d > math.MaxInt64-time.Millisecond:
		return int64(d / time.Millisecond)
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
