package nuthatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The list that all bindings share: ../conformance/README.md says how to read it.
func casesPath() string {
	if path := os.Getenv("NUTHATCH_CASES"); path != "" {
		return path
	}
	return "../conformance/cases.txt"
}

type caseLines struct {
	name  string
	lines []string
	first int // the number of its first line
}

func readCases(t *testing.T) []caseLines {
	data, err := os.ReadFile(casesPath())
	if err != nil {
		t.Fatal(err)
	}
	var cases []caseLines
	for i, line := range strings.Split(string(data), "\n") {
		if name := strings.TrimPrefix(line, "case "); name != line {
			cases = append(cases, caseLines{name: name, first: i + 2})
		} else if line != "" && line[0] != '#' {
			last := &cases[len(cases)-1]
			last.lines = append(last.lines, line)
		}
	}
	if len(cases) < 10 {
		t.Fatalf("%d cases in %s", len(cases), casesPath())
	}
	return cases
}

// A word of a step: a string, or plain text.
type word struct {
	text     []byte
	isString bool
}

func splitWords(t *testing.T, line string) []word {
	var list []word
	for i := 0; i < len(line); {
		if line[i] == ' ' {
			i++
			continue
		}
		if line[i] != '"' {
			end := strings.IndexByte(line[i:], ' ')
			if end < 0 {
				end = len(line) - i
			}
			list = append(list, word{text: []byte(line[i : i+end])})
			i += end
			continue
		}
		text := []byte{}
		for i++; line[i] != '"'; i++ {
			if line[i] != '\\' {
				text = append(text, line[i])
				continue
			}
			if i++; line[i] == 'x' {
				value, err := strconv.ParseUint(line[i+1:i+3], 16, 8)
				if err != nil {
					t.Fatal(line, err)
				}
				text = append(text, byte(value))
				i += 2
			} else {
				text = append(text, line[i])
			}
		}
		if i++; i < len(line) && line[i] == '*' {
			digits := i + 1
			for i = digits; i < len(line) && line[i] >= '0' && line[i] <= '9'; i++ {
			}
			count, _ := strconv.Atoi(line[digits:i])
			text = bytes.Repeat(text, count)
		}
		list = append(list, word{text: text, isString: true})
	}
	return list
}

func quoted(value []byte) string {
	if len(value) > 64 && bytes.Count(value, value[:1]) == len(value) {
		return quoted(value[:1]) + "*" + strconv.Itoa(len(value))
	}
	var text strings.Builder
	text.WriteByte('"')
	for _, c := range value {
		switch {
		case c == '"' || c == '\\':
			text.WriteByte('\\')
			text.WriteByte(c)
		case c >= 0x20 && c <= 0x7e:
			text.WriteByte(c)
		default:
			fmt.Fprintf(&text, "\\x%02x", c)
		}
	}
	text.WriteByte('"')
	return text.String()
}

func outcome(err error) string {
	for name, known := range map[string]error{
		"missing": ErrMissing, "exists": ErrExists, "changed": ErrChanged, "type": ErrType, "range": ErrRange,
		"too_large": ErrTooLarge,
	} {
		if errors.Is(err, known) {
			return name
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// A player plays one case.
type player struct {
	t        *testing.T
	store    *Store
	now      time.Duration
	restart  func() (uint64, error)
	isServer bool
	versions map[string]uint64
	leases   map[string]uint64
}

func (p *player) clock() time.Duration { return p.now }

// options reads those of a step that are this package's.
func options(words []word) (list []Option, named map[string]string, s settings) {
	named = map[string]string{}
	for _, word := range words {
		if word.isString {
			continue
		}
		name, value, _ := strings.Cut(string(word.text), "=")
		named[name] = value
		number, _ := strconv.ParseInt(value, 10, 64)
		ms := time.Duration(number) * time.Millisecond
		switch name {
		case "ttl":
			list = append(list, TTL(ms))
		case "soft_ttl":
			list = append(list, SoftTTL(ms))
		case "flags":
			list = append(list, Flags(uint32(number)))
		case "tags":
			list = append(list, Tags(strings.Split(value, ",")...))
		}
	}
	s = settingsOf(list)
	_, s.negative = named["negative"]
	return list, named, s
}

func (p *player) step(line string) string {
	list := splitWords(p.t, line)
	do, args := string(list[0].text), list[1:]
	var key, value []byte
	if len(args) > 0 {
		key = args[0].text
	}
	if len(args) > 1 {
		value = args[1].text
	}
	given, named, s := options(args)
	store := p.store
	switch do {
	case "set":
		return outcome(store.Set(key, value, given...))
	case "add":
		return outcome(store.Add(key, value, given...))
	case "replace":
		return outcome(store.Replace(key, value, given...))
	case "version":
		item, err := store.GetItem(key, nil)
		p.versions[named["as"]] = item.Version
		return outcome(err)
	case "cas":
		return outcome(store.CompareAndSwap(key, value, p.versions[named["if"]], given...))
	case "cas_missing":
		return outcome(store.CompareAndSwap(key, value, 12345))
	case "get":
		value, err := store.Get(key, nil)
		if err != nil {
			return outcome(err)
		}
		p.sameByOtherMeans(key, value)
		return quoted(value)
	case "get_many":
		return p.getMany(args)
	case "flags":
		item, err := store.GetItem(key, nil)
		if err != nil {
			return outcome(err)
		}
		return strconv.Itoa(int(item.Flags))
	case "expires_in":
		item, err := store.GetItem(key, nil)
		if err != nil {
			return outcome(err)
		}
		if item.TTL == 0 {
			return "never"
		}
		return strconv.Itoa(int(item.TTL / time.Millisecond))
	case "is_stale":
		item, err := store.GetItem(key, nil)
		if err != nil {
			return outcome(err)
		}
		return map[bool]string{true: "yes", false: "no"}[item.Stale]
	case "append":
		return outcome(store.Append(key, value))
	case "prepend":
		return outcome(store.Prepend(key, value))
	case "increment":
		delta, _ := strconv.ParseInt(string(value), 10, 64)
		sum, err := store.Increment(key, delta)
		if err != nil {
			return outcome(err)
		}
		return strconv.FormatInt(sum, 10)
	case "touch":
		ttl, _ := strconv.ParseInt(string(value), 10, 64)
		return outcome(store.Touch(key, time.Duration(ttl)*time.Millisecond))
	case "delete":
		return outcome(store.Delete(key))
	case "make_stale":
		return outcome(store.MakeStale(key))
	case "purge_tag":
		if string(value) == "soft" {
			return outcome(store.PurgeTagSoftly(string(key)))
		}
		return outcome(store.PurgeTag(string(key)))
	case "clear":
		return outcome(store.Clear())
	case "count":
		count, err := store.Count()
		if err != nil {
			return outcome(err)
		}
		return strconv.FormatInt(count, 10)
	case "keys":
		return p.keys()
	case "fetch":
		return p.fetch(key, named)
	case "fill":
		return outcome(store.engine.put(0, putLease, key, value, s, p.leases[named["by"]]))
	case "give_up":
		return outcome(store.engine.giveUp(0, key, p.leases[named["by"]]))
	case "load":
		return p.load(args, given)
	case "restart":
		count, err := p.restart()
		if err != nil {
			return outcome(err)
		}
		return strconv.FormatUint(count, 10)
	}
	p.t.Fatalf("an unknown step: %s", line)
	return ""
}

// All ways to read a value read the same.
func (p *player) sameByOtherMeans(key, value []byte) {
	err := p.store.View(key, func(seen []byte) error {
		if !bytes.Equal(seen, value) {
			return fmt.Errorf("View shows %q", seen)
		}
		return nil
	})
	if err != nil {
		p.t.Error(err)
	}
	if item, err := p.store.GetItem(key, []byte("in front ")); err != nil || string(item.Value) != "in front "+string(value) {
		p.t.Errorf("GetItem: %q %v", item.Value, err)
	}
	dst := append(make([]byte, 0, 1000), "in front "...)
	if got, err := p.store.Get(key, dst); err != nil || string(got) != "in front "+string(value) {
		p.t.Errorf("Get with room: %q %v", got, err)
	}
}

func (p *player) getMany(args []word) string {
	keys := make([][]byte, len(args))
	for i := range args {
		keys[i] = args[i].text
	}
	values, err := p.store.GetMany(keys)
	if err != nil {
		return outcome(err)
	}
	said := make([]string, len(values))
	for i, value := range values {
		if said[i] = "missing"; value != nil {
			said[i] = quoted(value)
		}
	}
	return strings.Join(said, " ")
}

func (p *player) keys() string {
	var keys []string
	err := p.store.Range(func(key, _ []byte) bool {
		keys = append(keys, string(key))
		return true
	})
	if err != nil {
		return outcome(err)
	}
	if len(keys) == 0 {
		return "none"
	}
	sort.Strings(keys)
	for i := range keys {
		keys[i] = quoted([]byte(keys[i]))
	}
	return strings.Join(keys, " ")
}

func (p *player) fetch(key []byte, named map[string]string) string {
	lease, _ := strconv.ParseInt(named["lease"], 10, 64)
	if lease == 0 {
		lease = 10000
	}
	found, err := p.store.engine.fetch(0, key, nil, lease, 0)
	if err != nil {
		return outcome(err)
	}
	if found.lease != 0 {
		p.leases[named["as"]] = found.lease
	}
	if found.negative {
		return "negative"
	}
	switch found.state {
	case fetchHit:
		return "hit " + quoted(found.value)
	case fetchStale:
		return "stale " + quoted(found.value)
	case fetchStaleLease:
		return "stale_lease " + quoted(found.value)
	case fetchMissWait:
		return "wait"
	case fetchMissLease:
		return "lease"
	}
	return fmt.Sprint("state ", found.state)
}

func (p *player) load(args []word, given []Option) string {
	ran := false
	value, err := p.store.GetOrLoad(context.Background(), args[0].text, nil, func(context.Context) ([]byte, error) {
		ran = true
		if !args[1].isString {
			return nil, errors.New("it fails")
		}
		return args[1].text, nil
	}, given...)
	if err != nil {
		return "failed"
	}
	if ran {
		return "loaded " + quoted(value)
	}
	return "cached " + quoted(value)
}

func (p *player) play(c caseLines) {
	for _, line := range c.lines {
		step, wanted, _ := strings.Cut(line, " -> ")
		if ms := strings.TrimPrefix(step, "advance "); ms != step {
			count, _ := strconv.Atoi(ms)
			p.now += time.Duration(count) * time.Millisecond
			continue
		}
		if strings.HasPrefix(step, "new ") {
			continue // it was made so
		}
		if got := p.step(step); got != wanted {
			p.t.Errorf("%s\n  %s\n  wanted %s, got %s", c.name, step, wanted, got)
		}
	}
}

// What of a case's first step, if that is `new`, the store is to be like.
func (c *caseLines) options() Options {
	options := Options{MemoryBytes: 16 << 20}
	for _, word := range strings.Fields(c.lines[0]) {
		name, value, _ := strings.Cut(word, "=")
		number, _ := strconv.ParseUint(value, 10, 64)
		switch name {
		case "memory":
			options.MemoryBytes = number
		case "value_max":
			options.ValueBytesMax = number
		}
	}
	return options
}

func (c *caseLines) has(word string) bool {
	for _, line := range c.lines {
		if strings.HasPrefix(line, word) {
			return true
		}
	}
	return false
}
