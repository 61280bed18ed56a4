// go — what Go programs pay for their cache: nuthatch beside what else they would take. One cache a process:
//
//	go SUBJECT IDS ITEMS VALUE_BYTES MEMORY_BYTES THREADS OPERATIONS    the work of library.c, and its JSON
//	go SUBJECT gc ITEMS VALUE_BYTES    what a garbage collection costs with so many items, as JSON
//
// bindings_bench.py builds and runs it.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	keyBytes  = 16
	putEvery  = 10
	batchSize = 64
)

// A cache is one of those that are compared; it keeps copies of keys and values. Any thread may call it.
type cache interface {
	set(key []byte, value []byte)
	get(key []byte, room []byte) bool // and looks at a byte of the value; room is the thread's, to copy it to
	held() int
}

// A reader of many keys in one call, of one thread.
type batcher interface {
	newBatch() func(keys [][]byte) (found int)
}

// key writes the key of an item, which is made when it is wanted so that it is not counted.
func key(room *[keyBytes]byte, item uint32) []byte {
	copy(room[:8], "user:000")
	binary.BigEndian.PutUint64(room[8:], uint64(item))
	return room[:]
}

// What all threads took of the processors, the collector's included: others are at work on them, too.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func residentBytes() float64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, _ := strconv.ParseFloat(strings.Fields(string(data))[1], 64)
	return pages * float64(os.Getpagesize())
}

func fill(c cache, items, valueBytes int) {
	var room [keyBytes]byte
	value := make([]byte, valueBytes)
	for item := 0; item < items; item++ {
		c.set(key(&room, uint32(item)), value)
	}
}

type work struct {
	cache      cache
	ids        []uint32
	valueBytes int
	operations int // of each thread
}

// run is one thread's share; it returns how many reads there were, and how many found their value.
func (w *work) run(thread, threads int) (reads, found int) {
	var room [keyBytes]byte
	value, space := make([]byte, w.valueBytes), make([]byte, 0, 2*w.valueBytes)
	at := thread * (len(w.ids) / threads)
	for i := 0; i < w.operations; i++ {
		if at == len(w.ids) {
			at = 0
		}
		name := key(&room, w.ids[at])
		at++
		if i%putEvery == 0 {
			w.cache.set(name, value)
			continue
		}
		reads++
		if w.cache.get(name, space) {
			found++
		}
	}
	return reads, found
}

// runBatches reads alone, many keys at a time.
func (w *work) runBatches(thread, threads int) (reads, found int) {
	var rooms [batchSize][keyBytes]byte
	keys := make([][]byte, batchSize)
	getMany := w.cache.(batcher).newBatch()
	at := thread * (len(w.ids) / threads)
	for ; reads < w.operations; reads += batchSize {
		for i := range keys {
			if at == len(w.ids) {
				at = 0
			}
			keys[i] = key(&rooms[i], w.ids[at])
			at++
		}
		found += getMany(keys)
	}
	return reads, found
}

func speed(c cache, isBatched bool, ids []uint32, items, valueBytes, threads, operations int) map[string]float64 {
	debug.FreeOSMemory()
	before := residentBytes()
	fill(c, items, valueBytes)
	debug.FreeOSMemory()
	itemBytes := (residentBytes() - before) / float64(items)

	var group sync.WaitGroup
	var mutex sync.Mutex
	var reads, found int
	w := work{c, ids, valueBytes, operations}
	began, beganProcessor := time.Now(), processorTime()
	for thread := 0; thread < threads; thread++ {
		group.Add(1)
		go func(thread int) {
			defer group.Done()
			run := w.run
			if isBatched {
				run = w.runBatches
			}
			r, f := run(thread, threads)
			mutex.Lock()
			reads, found = reads+r, found+f
			mutex.Unlock()
		}(thread)
	}
	group.Wait()
	return map[string]float64{
		"cpu_ns":         float64(processorTime()-beganProcessor) / float64(operations*threads),
		"ns":             float64(time.Since(began)) / float64(operations),
		"bytes_per_item": itemBytes,
		"hit_ratio":      float64(found) / float64(reads),
	}
}

func collections(c cache, items, valueBytes int) map[string]float64 {
	fill(c, items, valueBytes)
	runtime.GC()
	var took, busy []float64
	stats := debug.GCStats{}
	for i := 0; i < 5; i++ {
		began, beganProcessor := time.Now(), processorTime()
		runtime.GC()
		took = append(took, float64(time.Since(began))/1e6)
		busy = append(busy, float64(processorTime()-beganProcessor)/1e6)
	}
	debug.ReadGCStats(&stats)
	longest := 0.0
	for _, pause := range stats.Pause[:5] {
		longest = math.Max(longest, float64(pause)/1e3)
	}
	sort.Float64s(took)
	sort.Float64s(busy)
	held := c.held()
	return map[string]float64{"items": float64(held), "gc_ms": took[2], "gc_cpu_ms": busy[2], "gc_pause_us": longest}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		fail(err.Error())
	}
	return value
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, "go:", what)
	os.Exit(2)
}

func main() {
	args := os.Args[1:]
	if len(args) < 2 {
		fail("see the head of main.go")
	}
	name := strings.TrimSuffix(args[0], "-batch")
	isBatched := name != args[0]
	newCache, is := subjects[name]
	switch {
	case !is:
		fail("no cache is called " + name)
	case args[1] == "gc" && len(args) == 4:
		items, valueBytes := number(args[2]), number(args[3])
		print(collections(newCache(items, items*(keyBytes+valueBytes+64)), items, valueBytes))
	case len(args) == 7:
		data, err := os.ReadFile(args[1])
		if err != nil {
			fail(err.Error())
		}
		ids := make([]uint32, len(data)/4)
		for i := range ids {
			ids[i] = binary.LittleEndian.Uint32(data[4*i:])
		}
		items, valueBytes, threads := number(args[2]), number(args[3]), number(args[5])
		runtime.GOMAXPROCS(threads)
		print(speed(newCache(items, number(args[4])), isBatched, ids, items, valueBytes, threads, number(args[6])))
	default:
		fail("see the head of main.go")
	}
}

func print(figures map[string]float64) {
	if err := json.NewEncoder(os.Stdout).Encode(figures); err != nil {
		fail(err.Error())
	}
}
