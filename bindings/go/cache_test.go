//go:build cgo

package nuthatch

import (
	"context"
	"errors"
	"testing"
	"time"
)

type user struct {
	Name string
	Age  int
}

func TestACacheHasTypes(t *testing.T) {
	for name, values := range map[string]Codec[user]{"JSON": JSON[user]{}, "gob": Gob[user]{}} {
		t.Run(name, func(t *testing.T) {
			users := NewCache[uint64, user](newTestStore(t, Options{}), Uint64{}, values)
			ann := user{Name: "Ann", Age: 41}
			if err := users.Set(7, ann, TTL(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if got, err := users.Get(7); got != ann || err != nil {
				t.Errorf("%+v %v", got, err)
			}
			if _, err := users.Get(8); err != ErrMissing {
				t.Error(err)
			}
			load := func(_ context.Context, key uint64) (user, error) { return user{Name: "Bob", Age: int(key)}, nil }
			if got, err := users.GetOrLoad(context.Background(), 8, load); got.Age != 8 || err != nil {
				t.Errorf("%+v %v", got, err)
			}
			many, err := users.GetMany([]uint64{7, 8, 9})
			if err != nil || len(many) != 2 || many[7] != ann || many[8].Name != "Bob" {
				t.Errorf("%+v %v", many, err)
			}
			if err := users.Delete(7); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatACodecRefusesIsToldAndNotStored(t *testing.T) {
	store := newTestStore(t, Options{})
	channels := NewCache[string, chan int](store, String{}, JSON[chan int]{})
	if err := channels.Set("k", make(chan int)); err == nil {
		t.Error("JSON takes a channel")
	}
	load := func(context.Context, string) (chan int, error) { return make(chan int), nil }
	if _, err := channels.GetOrLoad(context.Background(), "k", load); err == nil || errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	store.Set(Key("k"), Key("{not JSON"))
	if _, err := channels.Get("k"); err == nil {
		t.Error("that is no JSON")
	}
	numbers := NewCache[string, uint64](store, String{}, Uint64{})
	if _, err := numbers.Get("k"); err == nil {
		t.Error("that is no number")
	}
}
