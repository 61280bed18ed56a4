//go:build cgo

package nuthatch

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func never(context.Context) ([]byte, error) { return nil, errors.New("nobody should load") }

func gives(value string) Loader {
	return func(context.Context) ([]byte, error) { return []byte(value), nil }
}

func TestOfManyWhoMissOneLoads(t *testing.T) {
	store := newTestStore(t, Options{})
	for round := 0; round < 20; round++ {
		var loads atomic.Int32
		var group sync.WaitGroup
		release := make(chan struct{})
		store.Delete(Key("k"))
		for i := 0; i < 50; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				value, err := store.GetOrLoad(context.Background(), Key("k"), nil, func(context.Context) ([]byte, error) {
					loads.Add(1)
					<-release
					return []byte("v"), nil
				})
				if string(value) != "v" || err != nil {
					t.Errorf("%q %v", value, err)
				}
			}()
		}
		for loads.Load() == 0 {
			runtime.Gosched()
		}
		close(release)
		group.Wait()
		if loads.Load() != 1 {
			t.Fatalf("%d loads", loads.Load())
		}
	}
	if stats, err := store.Stats(); err != nil || stats.Loads != 20 || stats.Leases != 20 {
		t.Errorf("%+v %v", stats, err)
	}
}

func TestACallerWhoGivesUpEndsHisOwnWaitAlone(t *testing.T) {
	store := newTestStore(t, Options{})
	began, release := make(chan struct{}), make(chan struct{})
	var loaderErr error
	load := func(ctx context.Context) ([]byte, error) {
		close(began)
		<-release
		loaderErr = ctx.Err()
		return []byte("v"), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := store.GetOrLoad(ctx, Key("k"), nil, load)
		first <- err
	}()
	<-began
	second := make(chan string, 1)
	go func() {
		value, _ := store.GetOrLoad(context.Background(), Key("k"), nil, never)
		second <- string(value)
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	if value := <-second; value != "v" {
		t.Errorf("the other has %q", value)
	}
	if loaderErr != nil {
		t.Error("the loader's context ended with a caller's:", loaderErr)
	}
	if value, err := store.Get(Key("k"), nil); string(value) != "v" || err != nil {
		t.Errorf("%q %v", value, err)
	}
}

func TestALoadWhoseCallersAllGaveUpIsStoredAllTheSame(t *testing.T) {
	store := newTestStore(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	_, err := store.GetOrLoad(ctx, Key("k"), nil, func(context.Context) ([]byte, error) {
		cancel()
		<-release
		return []byte("v"), nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	if value, err := store.GetOrLoad(context.Background(), Key("k"), nil, never); string(value) != "v" || err != nil {
		t.Errorf("%q %v", value, err)
	}
}

func TestAFailedLoadIsAnErrorForAllAndLeavesNothing(t *testing.T) {
	store := newTestStore(t, Options{})
	broken := errors.New("broken")
	for what, load := range map[string]Loader{
		"error":  func(context.Context) ([]byte, error) { return nil, broken },
		"panic":  func(context.Context) ([]byte, error) { panic(broken) },
		"goexit": func(context.Context) ([]byte, error) { runtime.Goexit(); return nil, nil },
	} {
		dst, err := store.GetOrLoad(context.Background(), Key("k"), []byte("mine"), load)
		if string(dst) != "mine" {
			t.Errorf("%s: dst is %q", what, dst)
		}
		var panicked *PanicError
		switch what {
		case "error":
			if !errors.Is(err, broken) {
				t.Error(err)
			}
		case "panic":
			if !errors.As(err, &panicked) || !errors.Is(err, broken) || !strings.Contains(string(panicked.Stack), "load_test") {
				t.Error(err)
			}
		case "goexit":
			if !errors.Is(err, ErrLoaderExited) {
				t.Error(err)
			}
		}
		if _, err := store.Get(Key("k"), nil); !errors.Is(err, ErrMissing) {
			t.Error(what, err)
		}
	}
	if value, err := store.GetOrLoad(context.Background(), Key("k"), nil, gives("v")); string(value) != "v" || err != nil {
		t.Errorf("%q %v", value, err)
	}
}

func TestALoaderThatTakesTooLongIsLeftBehind(t *testing.T) {
	store := newTestStore(t, Options{})
	release, ended := make(chan struct{}), make(chan struct{})
	_, err := store.GetOrLoad(context.Background(), Key("k"), nil, func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		<-release
		close(ended)
		return []byte("late"), nil
	}, LoadTimeout(time.Millisecond))
	if !errors.Is(err, ErrLoadTimeout) {
		t.Error(err)
	}
	if value, err := store.GetOrLoad(context.Background(), Key("k"), nil, gives("new")); string(value) != "new" || err != nil {
		t.Errorf("%q %v", value, err)
	}
	close(release)
	<-ended
	if value, _ := store.Get(Key("k"), nil); string(value) != "new" {
		t.Errorf("%q", value)
	}
}

func TestWhatIsStaleIsServedWhileOneLoads(t *testing.T) {
	now := time.Hour
	store := newTestStore(t, Options{Clock: func() time.Duration { return now }})
	store.Set(Key("k"), Key("old"), SoftTTL(time.Second))
	now += 2 * time.Second
	release := make(chan struct{})
	for i := 0; i < 3; i++ {
		load := never
		if i == 0 {
			load = func(context.Context) ([]byte, error) { <-release; return []byte("new"), nil }
		}
		if value, err := store.GetOrLoad(context.Background(), Key("k"), nil, load, SoftTTL(time.Second)); string(value) != "old" || err != nil {
			t.Errorf("%q %v", value, err)
		}
	}
	close(release)
	for {
		if item, err := store.GetItem(Key("k"), nil); err != nil {
			t.Fatal(err)
		} else if string(item.Value) == "new" && !item.Stale {
			return
		}
		runtime.Gosched()
	}
}

func TestThatThereIsNothingIsRemembered(t *testing.T) {
	now := time.Hour
	store := newTestStore(t, Options{Clock: func() time.Duration { return now }})
	loads := 0
	load := func(context.Context) ([]byte, error) { loads++; return nil, ErrMissing }
	for i := 0; i < 3; i++ {
		if _, err := store.GetOrLoad(context.Background(), Key("k"), nil, load, NegativeTTL(time.Second)); err != ErrMissing {
			t.Error(err)
		}
	}
	now += time.Second
	store.GetOrLoad(context.Background(), Key("k"), nil, load)
	store.GetOrLoad(context.Background(), Key("k"), nil, load)
	if loads != 3 {
		t.Errorf("%d loads", loads)
	}
}

func TestWhoAsksAfterADeleteIsNotGivenWhatWasLoadedBefore(t *testing.T) {
	store := newTestStore(t, Options{})
	began, release := make(chan struct{}), make(chan struct{})
	first := make(chan string, 1)
	go func() {
		value, _ := store.GetOrLoad(context.Background(), Key("k"), nil, func(context.Context) ([]byte, error) {
			close(began)
			<-release
			return []byte("old"), nil
		})
		first <- string(value)
	}()
	<-began
	if err := store.Delete(Key("k")); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	// The old flight is still to be found; the new caller has a lease of his own.
	value, err := store.GetOrLoad(context.Background(), Key("k"), nil, gives("new"))
	if string(value) != "new" || err != nil {
		t.Errorf("%q %v", value, err)
	}
	close(release)
	if value := <-first; value != "old" {
		t.Errorf("who asked before has %q", value)
	}
	if value, _ := store.Get(Key("k"), nil); string(value) != "new" {
		t.Errorf("%q is stored", value)
	}
}

func TestWhoWaitsForAFlightThatWasOvertakenAsksAgain(t *testing.T) {
	store := newTestStore(t, Options{})
	began, release := make(chan struct{}), make(chan struct{})
	go store.GetOrLoad(context.Background(), Key("k"), nil, func(context.Context) ([]byte, error) {
		close(began)
		<-release
		return []byte("old"), nil
	})
	<-began
	joined := make(chan string, 1)
	go func() {
		value, _ := store.GetOrLoad(context.Background(), Key("k"), nil, never)
		joined <- string(value)
	}()
	for stats, _ := store.Stats(); stats.LeaseWaits == 0; stats, _ = store.Stats() {
		runtime.Gosched()
	}
	store.Set(Key("k"), Key("new"))
	close(release)
	if value := <-joined; value != "new" {
		t.Errorf("%q", value)
	}
}

func TestAValueThatCannotBeStoredIsGivenAllTheSame(t *testing.T) {
	store := newTestStore(t, Options{ValueBytesMax: 10})
	large := strings.Repeat("v", 100)
	value, err := store.GetOrLoad(context.Background(), Key("k"), nil, gives(large))
	if string(value) != large || err != nil {
		t.Errorf("%q %v", value, err)
	}
	if value, err = store.GetOrLoad(context.Background(), Key("k"), nil, gives("small")); string(value) != "small" || err != nil {
		t.Errorf("%q %v", value, err)
	}
}

func TestAnEarlyLoadRenewsWhatIsFresh(t *testing.T) {
	now := time.Hour
	store := newTestStore(t, Options{Clock: func() time.Duration { return now }})
	slow := func(context.Context) ([]byte, error) { time.Sleep(2 * time.Millisecond); return []byte("v"), nil }
	store.GetOrLoad(context.Background(), Key("k"), nil, slow, TTL(time.Minute))
	now += time.Minute - time.Millisecond
	var loads atomic.Int32
	for i := 0; loads.Load() == 0; i++ {
		value, err := store.GetOrLoad(context.Background(), Key("k"), nil, func(context.Context) ([]byte, error) {
			loads.Add(1)
			return []byte("v"), nil
		}, TTL(time.Minute), Early(1000))
		if string(value) != "v" || err != nil || i == 1000000 {
			t.Fatal(value, err)
		}
	}
}
