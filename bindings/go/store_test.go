//go:build cgo

package nuthatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestManyGoroutinesSeeWholeValues(t *testing.T) {
	store := newTestStore(t, Options{MemoryBytes: 1 << 20}) // small: it evicts
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func(seed int64) {
			defer group.Done()
			random := rand.New(rand.NewSource(seed))
			var dst []byte
			for j := 0; j < 3000; j++ {
				n := random.Intn(200)
				key := []byte(fmt.Sprint("key ", n))
				whole := func(value []byte) error {
					if len(value) > 0 && bytes.Count(value, value[:1]) != len(value) {
						return errors.New("torn")
					}
					return nil
				}
				var err error
				switch random.Intn(5) {
				case 0:
					err = store.Set(key, bytes.Repeat([]byte{byte(j)}, random.Intn(20000)), TTL(time.Minute), Tags("t"))
				case 1:
					dst, err = store.Get(key, dst[:0])
					if err == nil {
						err = whole(dst)
					}
				case 2:
					err = store.View(key, whole)
				case 3:
					var values [][]byte
					values, err = store.GetMany([][]byte{key, Key("key 1"), Key("key 2")})
					for i := 0; err == nil && i < len(values); i++ {
						err = whole(values[i])
					}
				case 4:
					if err = store.Delete(key); n == 0 {
						err = store.PurgeTag("t")
					}
				}
				if err != nil && err != ErrMissing && err != ErrFull {
					t.Error(err)
				}
			}
		}(int64(i))
	}
	group.Wait()
}

func TestCloseIsSafeWithCallersUnderWay(t *testing.T) {
	for round := 0; round < 50; round++ {
		store := newTestStore(t, Options{MemoryBytes: 1 << 20})
		store.Set(Key("k"), Key("v"))
		var closed atomic.Bool
		var group sync.WaitGroup
		for i := 0; i < 4; i++ {
			group.Add(1)
			go func(i int) {
				defer group.Done()
				for {
					wasClosed := closed.Load()
					var err error
					switch i {
					case 0:
						_, err = store.Get(Key("k"), nil)
					case 1:
						err = store.View(Key("k"), func(value []byte) error {
							runtime.Gosched()
							if string(value) != "v" {
								t.Errorf("%q", value)
							}
							return nil
						})
					case 2:
						_, err = store.GetOrLoad(context.Background(), Key("k"), nil, gives("v"))
					case 3:
						err = store.Range(func(key, value []byte) bool { return true })
					}
					if err == ErrClosed {
						return
					}
					if err != nil || wasClosed {
						t.Error(i, err, wasClosed)
						return
					}
				}
			}(i)
		}
		runtime.Gosched()
		store.Close()
		closed.Store(true)
		store.Close() // twice is nothing
		group.Wait()
	}
}

func TestAViewSeesItsValueThoughTheStoreIsClosed(t *testing.T) {
	store := newTestStore(t, Options{})
	store.Set(Key("k"), Key("v"))
	err := store.View(Key("k"), func(value []byte) error {
		store.Set(Key("k"), Key("w"))
		store.Close()
		if string(value) != "v" {
			t.Errorf("%q", value)
		}
		return store.Set(Key("k"), Key("x"))
	})
	if err != ErrClosed {
		t.Error(err)
	}
}

func TestAViewThatPanicsGivesItsValueBack(t *testing.T) {
	store := newTestStore(t, Options{})
	store.Set(Key("k"), Key("v"))
	func() {
		defer func() { recover() }()
		store.View(Key("k"), func([]byte) error { panic("look") })
	}()
	if stats, err := store.Stats(); err != nil || stats.PinnedBytes != 0 {
		t.Errorf("%d bytes pinned, %v", stats.PinnedBytes, err)
	}
}

func TestStoresThatNobodyClosedAreFreed(t *testing.T) {
	for i := 0; i < 20; i++ {
		store, err := New(Options{MemoryBytes: 1 << 20, SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		store.Set(Key("k"), Key("v"))
		runtime.GC()
	}
}

func TestAStoreThatIsClosedWhileSaveWaitsStaysClosed(t *testing.T) {
	store := newTestStore(t, Options{})
	store.Set(Key("k"), Key("v"))
	err := store.View(Key("k"), func(value []byte) error {
		ctx, cancel := context.WithCancel(context.Background())
		saved := make(chan error)
		go func() { saved <- store.Save(ctx, filepath.Join(t.TempDir(), "saved")) }()
		for _, err := store.Get(Key("k"), nil); err != ErrClosed; _, err = store.Get(Key("k"), nil) {
			runtime.Gosched()
		}
		store.Close()
		cancel()
		if err := <-saved; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if string(value) != "v" {
			t.Errorf("%q", value)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := store.Get(Key("k"), nil); err != ErrClosed {
		t.Errorf("%v: Close should have closed it", err)
	}
}

func TestSaveRefusesCallersAndGivesUpInTime(t *testing.T) {
	store := newTestStore(t, Options{})
	store.Set(Key("k"), Key("v"))
	path := filepath.Join(t.TempDir(), "saved")
	err := store.View(Key("k"), func([]byte) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		return store.Save(ctx, path)
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if value, err := store.Get(Key("k"), nil); string(value) != "v" || err != nil {
		t.Errorf("%q %v: it should be open again", value, err)
	}
	if err := store.Save(context.Background(), path); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(Key("k"), nil); err != ErrClosed {
		t.Error(err)
	}
	if err := store.Save(context.Background(), path); err != ErrClosed {
		t.Error(err)
	}
	again, count, err := Restore(Options{}, path)
	if err != nil || count != 1 {
		t.Fatal(count, err)
	}
	again.Close()
}

func TestAFileThatIsNoneOfOursIsSaidToBe(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "saved")
	os.WriteFile(path, []byte("not a store"), 0o600)
	if _, _, err := Restore(Options{}, path); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	store, count, err := Restore(Options{}, filepath.Join(folder, "none"))
	if err != nil || count != 0 {
		t.Fatal(err)
	}
	if err := store.Save(context.Background(), filepath.Join(folder, "no", "such", "folder")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := New(Options{MemoryBytes: 5}); !errors.Is(err, ErrRange) {
		t.Error(err)
	}
}

func TestSpacesAreApart(t *testing.T) {
	store := newTestStore(t, Options{})
	one, err := store.Space(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Space(1024); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	store.Set(Key("k"), Key("zero"))
	one.Set(Key("k"), Key("one"))
	if err := one.Clear(); err != nil {
		t.Error(err)
	}
	if value, err := store.Get(Key("k"), nil); string(value) != "zero" || err != nil {
		t.Errorf("%q %v", value, err)
	}
	if _, err := one.Get(Key("k"), nil); err != ErrMissing {
		t.Error(err)
	}
}

func TestABatchDoesAllInOrder(t *testing.T) {
	store := newTestStore(t, Options{})
	batch := store.NewBatch()
	for round := 0; round < 2; round++ { // its memory is used again
		batch.Reset()
		batch.Set(Key("a"), Key("1"))
		batch.Get(Key("a"))
		batch.Set(Key("a"), bytes.Repeat(Key("2"), 100000))
		batch.Get(Key("a"))
		batch.Delete(Key("a"))
		batch.Get(Key("a"))
		batch.Get(make([]byte, 65536))
		batch.Set(Key("b"), Key("v"), Tags("t"))
		batch.Set(Key("empty"), nil, TTL(time.Minute), Flags(3))
		batch.Get(Key("empty"))
		if _, err := batch.Value(1); !errors.Is(err, ErrInvalid) {
			t.Error("before it was run:", err)
		}
		if err := batch.Run(); err != nil {
			t.Fatal(err)
		}
		if err := batch.Run(); !errors.Is(err, ErrInvalid) {
			t.Error("run twice:", err)
		}
		if value, err := batch.Value(1); string(value) != "1" || err != nil {
			t.Errorf("%q %v", value, err)
		}
		if value, err := batch.Value(3); len(value) != 100000 || err != nil {
			t.Errorf("%d bytes, %v", len(value), err)
		}
		for i, wanted := range map[int]error{4: nil, 5: ErrMissing, 6: ErrTooLarge, 7: ErrNotSupported, 8: nil} {
			if err := batch.Err(i); !errors.Is(err, wanted) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if value, err := batch.Value(9); value == nil || len(value) != 0 || err != nil {
			t.Errorf("%q %v", value, err)
		}
		if item, err := store.GetItem(Key("empty"), nil); item.Flags != 3 || item.TTL == 0 || err != nil {
			t.Errorf("%+v %v", item, err)
		}
	}
}

// What C expects of sizes follows what it has seen: here it is often wrong.
func TestABatchReadsValuesOfAllSizes(t *testing.T) {
	store := newTestStore(t, Options{MemoryBytes: 64 << 20})
	const count = 400
	random := rand.New(rand.NewSource(1))
	wanted := make([][]byte, count) // nil: missing
	for i := range wanted {
		if i%7 == 6 {
			continue
		}
		wanted[i] = bytes.Repeat([]byte{byte(i)}, []int{0, 1, 100, 128, 129, 1024, 1025, 40000}[random.Intn(2+i/50%7)])
		if err := store.Set(Key(fmt.Sprint(i)), wanted[i]); err != nil {
			t.Fatal(err)
		}
	}
	store.Set(Key("other"), bytes.Repeat([]byte("other"), 1000))
	batch := store.NewBatch()
	for round := 0; round < 30; round++ {
		asked := random.Perm(count)[:1+random.Intn(count)]
		if round%3 == 0 { // in order, so that like is beside like
			sort.Ints(asked)
		}
		keys := make([][]byte, len(asked))
		batch.Reset()
		for at, i := range asked {
			keys[at] = Key(fmt.Sprint(i))
			batch.Get(keys[at])
			if round%5 == 4 && i%40 == 0 {
				batch.Set(Key("between"), wanted[i])
			}
		}
		if err := batch.Run(); err != nil {
			t.Fatal(err)
		}
		many, err := store.GetMany(keys)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.GetMany([][]byte{Key("other")}); err != nil { // writes into nothing that was returned
			t.Fatal(err)
		}
		at := 0
		for j, i := range asked {
			value, err := batch.Value(at)
			at++
			if round%5 == 4 && i%40 == 0 {
				at++
			}
			if !bytes.Equal(value, wanted[i]) || (err == ErrMissing) != (wanted[i] == nil) || (value == nil) != (wanted[i] == nil) {
				t.Fatalf("round %d, key %d: %d bytes, %v", round, i, len(value), err)
			}
			if !bytes.Equal(many[j], wanted[i]) || (many[j] == nil) != (wanted[i] == nil) {
				t.Fatalf("round %d, key %d: %d bytes of many", round, i, len(many[j]))
			}
		}
	}
}

func TestABatchIsOneAllocationAtMost(t *testing.T) {
	store := newTestStore(t, Options{})
	store.Set(Key("k"), Key("v"))
	batch := store.NewBatch()
	key, dst := Key("k"), make([]byte, 0, 100)
	for what, do := range map[string]func(){
		"batch": func() {
			batch.Reset()
			for i := 0; i < 100; i++ {
				batch.Get(key)
			}
			batch.Run()
		},
		"get": func() { dst, _ = store.Get(key, dst[:0]) },
		"set": func() { store.Set(key, key, TTL(time.Minute)) },
	} {
		if count := testing.AllocsPerRun(100, do); count > 1 {
			t.Errorf("%s: %v allocations", what, count)
		}
	}
}

func TestAWalkSeesAllKeysAndMayWrite(t *testing.T) {
	store := newTestStore(t, Options{MemoryBytes: 64 << 20})
	const count = 5000
	large := bytes.Repeat([]byte("x"), 300000)
	for i := 0; i < count; i++ {
		value := []byte(fmt.Sprint(i))
		if i%1000 == 0 {
			value = large
		}
		if err := store.Set([]byte(fmt.Sprintf("%0*d", 1+i%3000, i)), value, TTL(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	err := store.Range(func(key, value []byte) bool {
		if len(value) != len(large) && len(value) > 4 {
			t.Errorf("%d bytes", len(value))
		}
		if len(seen)%100 == 0 {
			store.Set(Key("new"), large)
		}
		seen[string(key)] = true
		return true
	})
	delete(seen, "new")
	if err != nil || len(seen) != count {
		t.Errorf("%d keys, %v", len(seen), err)
	}
	calls := 0
	store.Range(func(_, _ []byte) bool { calls++; return calls < 3 })
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

func TestASweepFreesWhatHasExpired(t *testing.T) {
	store := newTestStore(t, Options{SweepEvery: time.Millisecond})
	store.Set(Key("k"), Key("v"), TTL(time.Millisecond))
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		if count, err := store.Count(); err != nil || time.Now().After(deadline) {
			t.Fatal(count, err)
		} else if count == 0 {
			return
		}
	}
}
