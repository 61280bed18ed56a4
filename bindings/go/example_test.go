//go:build cgo

package nuthatch_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nuthatch"
)

func open() *nuthatch.Store {
	store, err := nuthatch.New(nuthatch.Options{MemoryBytes: 16 << 20})
	if err != nil {
		panic(err)
	}
	return store
}

func Example() {
	store := open()
	defer store.Close()
	if err := store.Set([]byte("bird"), []byte("nuthatch"), nuthatch.TTL(time.Minute), nuthatch.Tags("birds")); err != nil {
		fmt.Println(err)
	}
	value, err := store.Get([]byte("bird"), nil)
	fmt.Println(string(value), err)
	store.PurgeTag("birds")
	_, err = store.Get([]byte("bird"), nil)
	fmt.Println(errors.Is(err, nuthatch.ErrMissing))
	// Output:
	// nuthatch <nil>
	// true
}

func ExampleStore_GetOrLoad() {
	store := open()
	defer store.Close()
	load := func(ctx context.Context) ([]byte, error) {
		fmt.Println("loading")
		return []byte("a slow answer"), nil
	}
	for i := 0; i < 2; i++ {
		value, err := store.GetOrLoad(context.Background(), []byte("question"), nil, load, nuthatch.TTL(time.Hour))
		fmt.Println(string(value), err)
	}
	// Output:
	// loading
	// a slow answer <nil>
	// a slow answer <nil>
}

func ExampleStore_View() {
	store := open()
	defer store.Close()
	store.Set([]byte("bird"), []byte("nuthatch"))
	err := store.View([]byte("bird"), func(value []byte) error {
		fmt.Println(len(value), "bytes, where they lie")
		return nil
	})
	fmt.Println(err)
	// Output:
	// 8 bytes, where they lie
	// <nil>
}

func ExampleBatch() {
	store := open()
	defer store.Close()
	batch := store.NewBatch()
	batch.Set([]byte("a"), []byte("1"))
	batch.Get([]byte("a"))
	batch.Get([]byte("b"))
	if err := batch.Run(); err != nil {
		fmt.Println(err)
	}
	value, err := batch.Value(1)
	fmt.Println(string(value), err)
	_, err = batch.Value(2)
	fmt.Println(errors.Is(err, nuthatch.ErrMissing))
	// Output:
	// 1 <nil>
	// true
}

func ExampleCache() {
	type bird struct {
		Name   string
		Length int
	}
	store := open()
	defer store.Close()
	birds := nuthatch.NewCache[uint64, bird](store, nuthatch.Uint64{}, nuthatch.JSON[bird]{})
	if err := birds.Set(7, bird{"nuthatch", 14}); err != nil {
		fmt.Println(err)
	}
	found, err := birds.Get(7)
	fmt.Println(found.Name, found.Length, err)
	// Output:
	// nuthatch 14 <nil>
}
