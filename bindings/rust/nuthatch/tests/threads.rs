//! Many threads on one cache.

use nuthatch::{Cache, Error, Fetched, InsertOptions, LoadError, LoadOptions, ManualClock};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

const THREADS: usize = 16;
const LONG: Duration = Duration::from_secs(60);

fn cache() -> Cache {
    Cache::new(16 << 20).unwrap()
}

fn at_once<R: Send>(count: usize, what: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(count);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|i| {
                let (start, what) = (&start, &what);
                scope.spawn(move || {
                    start.wait();
                    what(i)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Waits until so many threads have found that somebody else computes the value.
fn until_waiting(cache: &Cache, count: u64) {
    while cache.stats().lease_waits < count {
        thread::yield_now();
    }
}

#[test]
fn of_many_who_want_a_key_one_loads_it() {
    let cache = cache();
    let loads = AtomicUsize::new(0);
    let values = at_once(THREADS, |_| {
        let value = cache.get_or_try_insert_with("k", InsertOptions::new(), || {
            loads.fetch_add(1, Ordering::SeqCst);
            until_waiting(&cache, THREADS as u64 - 1);
            Ok::<_, ()>(b"v".to_vec())
        });
        value.unwrap().to_vec()
    });
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert!(values.iter().all(|value| value == b"v"));
}

#[test]
fn keys_are_loaded_beside_each_other() {
    let cache = cache();
    let loads = Barrier::new(4);
    // Each of the loads waits for the others.
    at_once(4, |i| {
        cache
            .get_or_insert_with(i.to_string(), InsertOptions::new(), || {
                loads.wait();
                Vec::new()
            })
            .unwrap()
            .len()
    });
    assert_eq!(cache.len(), 4);
}

#[test]
fn a_load_that_fails_lets_the_next_try() {
    let cache = cache();
    let loads = AtomicUsize::new(0);
    let results = at_once(THREADS, |_| {
        let loaded = cache.get_or_try_insert_with("k", InsertOptions::new(), || {
            if loads.fetch_add(1, Ordering::SeqCst) == 0 {
                until_waiting(&cache, THREADS as u64 - 1);
                return Err("no");
            }
            Ok(b"v".to_vec())
        });
        loaded.map(|value| value.to_vec())
    });
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    assert_eq!(results.iter().filter(|result| **result == Err(LoadError::Failed("no"))).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == Ok(b"v".to_vec())).count(), THREADS - 1);
}

#[test]
fn a_load_that_panics_lets_the_next_try() {
    let cache = cache();
    let loads = AtomicUsize::new(0);
    let results = at_once(2, |_| {
        panic::catch_unwind(AssertUnwindSafe(|| {
            let loaded = cache.get_or_insert_with("k", InsertOptions::new(), || {
                if loads.fetch_add(1, Ordering::SeqCst) == 0 {
                    until_waiting(&cache, 1);
                    panic::resume_unwind(Box::new("no"));
                }
                b"v".to_vec()
            });
            loaded.unwrap().to_vec()
        }))
    });
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert_eq!(cache.get("k").unwrap(), b"v");
}

#[test]
fn a_failure_is_remembered_if_one_wants_that() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(16 << 20).clock(clock.clone()).build().unwrap();
    let options = LoadOptions::default().negative_ttl(Duration::from_secs(1));
    let fails = || Err::<Vec<u8>, _>("no");
    assert_eq!(cache.get_or_try_insert_with("k", options.clone(), fails).unwrap_err(), LoadError::Failed("no"));
    assert_eq!(cache.get_or_try_insert_with("k", options.clone(), fails).unwrap_err(), LoadError::KnownToFail);
    assert!(cache.get("k").is_none());
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get_or_try_insert_with("k", options, fails).unwrap_err(), LoadError::Failed("no"));
}

#[test]
fn waiting_for_a_load_has_an_end() {
    let cache = cache();
    let lease = match cache.fetch("k", LONG).unwrap() {
        Fetched::Miss(lease) => lease,
        other => panic!("{other:?}"),
    };
    let options = LoadOptions::default().wait(Duration::from_millis(1));
    let loaded = cache.get_or_insert_with("k", options, || unreachable!());
    assert_eq!(loaded.unwrap_err(), LoadError::TimedOut);
    drop(lease);
    assert_eq!(cache.get_or_insert_with("k", LoadOptions::default(), || b"v".to_vec()).unwrap(), b"v");
}

#[test]
fn somebody_who_writes_the_key_ends_the_waiting_for_it() {
    let cache = cache();
    let lease = match cache.fetch("k", LONG).unwrap() {
        Fetched::Miss(lease) => lease,
        other => panic!("{other:?}"),
    };
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| cache.get_or_insert_with("k", LoadOptions::default(), || unreachable!()).unwrap().to_vec());
        until_waiting(&cache, 1);
        cache.insert("k", "written").unwrap();
        assert_eq!(waiting.join().unwrap(), b"written");
    });
    assert_eq!(lease.fill("older", &InsertOptions::new()), Err(Error::Changed));
    assert_eq!(cache.get("k").unwrap(), b"written");
}

#[test]
fn what_is_stale_is_served_while_one_renews_it() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(16 << 20).clock(clock.clone()).build().unwrap();
    let options = InsertOptions::new().soft_ttl(Duration::from_secs(1));
    cache.insert_with("k", "old", &options).unwrap();
    clock.advance(Duration::from_secs(1));
    let renewed = cache.get_or_insert_with("k", options.clone(), || {
        let other = cache.get_or_insert_with("k", options.clone(), || unreachable!()).unwrap();
        assert!(other.is_stale());
        assert_eq!(other, b"old");
        b"new".to_vec()
    });
    assert_eq!(renewed.unwrap(), b"new");
    assert!(!cache.get("k").unwrap().is_stale());
}

#[test]
fn what_is_stale_is_better_than_an_error_if_one_says_so() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(16 << 20).clock(clock.clone()).build().unwrap();
    let insert = InsertOptions::new().soft_ttl(Duration::from_secs(1));
    cache.insert_with("k", "old", &insert).unwrap();
    clock.advance(Duration::from_secs(1));
    let fails = || Err::<Vec<u8>, _>("no");
    assert_eq!(cache.get_or_try_insert_with("k", insert.clone(), fails).unwrap_err(), LoadError::Failed("no"));
    let value = cache.get_or_try_insert_with("k", LoadOptions::new(insert).stale_on_error(), fails).unwrap();
    assert_eq!(value, b"old");
}

#[test]
fn an_early_refresh_that_fails_leaves_the_value() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(16 << 20).clock(clock.clone()).build().unwrap();
    // So costly that a refresh is due from the beginning.
    let insert = InsertOptions::new().ttl(LONG).cost(LONG * 1000);
    cache.insert_with("k", "old", &insert).unwrap();
    let options = LoadOptions::new(insert).early_percent(1000);
    let mut is_asked = false;
    let value = cache.get_or_try_insert_with("k", options.clone(), || {
        is_asked = true;
        Err::<Vec<u8>, _>(())
    });
    assert!(is_asked);
    assert_eq!(value.unwrap(), b"old");
    assert_eq!(cache.get_or_insert_with("k", options, || b"new".to_vec()).unwrap(), b"new");
}

#[test]
fn a_value_that_cannot_be_kept_is_given_all_the_same() {
    let cache = Cache::builder().memory(1 << 20).value_max(10).build().unwrap();
    let value = cache.get_or_insert_with("k", InsertOptions::new(), || vec![1; 11]).unwrap();
    assert_eq!(value.len(), 11);
    assert!(cache.get("k").is_none());
    let long_key = vec![b'k'; nuthatch::KEY_BYTES_MAX + 1];
    let loaded = cache.get_or_insert_with(long_key, InsertOptions::new(), Vec::new);
    assert_eq!(loaded.unwrap_err(), LoadError::Cache(Error::TooLarge));
}

#[test]
fn values_are_whole_however_many_write_them() {
    let cache = Cache::new(1 << 20).unwrap(); // so that there is eviction as well
    at_once(4, |thread| {
        for round in 0..4000usize {
            let number = (round * 7 + thread) % 500;
            let key = number.to_string();
            // Every value is one byte over and over; of some keys in pieces.
            let size = if number % 50 == 0 { 60_000 } else { 100 + number * 8 };
            match thread % 2 {
                0 => drop(cache.insert(&key, vec![round as u8; size])),
                _ => {
                    if let Some(value) = cache.get(&key) {
                        assert_eq!(value.len(), size);
                        assert!(value.iter().all(|byte| *byte == value[0]));
                    }
                    cache.get_with(&key, |value| assert!(value.iter().all(|byte| *byte == value[0])));
                }
            }
        }
    });
    assert!(cache.stats().evicted > 0);
    assert_eq!(cache.stats().pinned_bytes, 0);
}

#[test]
fn a_value_goes_to_another_thread_and_outlives_every_clone() {
    let (sender, receiver) = mpsc::channel::<nuthatch::ValueRef<'static>>();
    let reader = thread::spawn(move || receiver.recv().unwrap().to_vec());
    let cache = cache();
    cache.insert("k", "v").unwrap();
    let value = cache.get("k").unwrap().into_owned();
    drop(cache);
    sender.send(value).unwrap();
    assert_eq!(reader.join().unwrap(), b"v");
}

#[test]
fn a_listener_may_write_though_it_is_told_by_a_call_that_looks() {
    let own: Arc<Mutex<Option<Cache>>> = Arc::default();
    let outcomes: Arc<Mutex<Vec<Result<(), Error>>>> = Arc::default();
    let (own_in_listener, outcomes_in_listener) = (Arc::clone(&own), Arc::clone(&outcomes));
    let clock = ManualClock::new();
    let listening = Cache::builder()
        .memory(1 << 20)
        .clock(clock.clone())
        .on_dropped(move |dropped| {
            if dropped.key == b"short" {
                let cache = own_in_listener.lock().unwrap().clone().unwrap();
                let fills = |i: usize| cache.insert(format!("of the listener {i}"), [0; 1000]).map(drop);
                outcomes_in_listener.lock().unwrap().extend((0..3000).map(fills));
            }
        })
        .build()
        .unwrap();
    *own.lock().unwrap() = Some(listening.clone());
    let a_second = InsertOptions::new().ttl(Duration::from_secs(1));
    listening.insert("long", "value").unwrap();
    listening.insert_with("short", "value", &a_second).unwrap();

    // What a listener drops of another cache is told by the next call of that one.
    let inner = listening.clone();
    let other = Cache::builder()
        .memory(1 << 20)
        .clock(clock.clone())
        .on_dropped(move |_| assert!(inner.sweep(1000).unwrap() > 0))
        .build()
        .unwrap();
    other.insert_with("short", "value", &a_second).unwrap();
    clock.advance(Duration::from_secs(2));
    other.sweep(1000).unwrap();
    assert!(outcomes.lock().unwrap().is_empty());

    assert_eq!(listening.get_with("long", |value| value.len()), Some(5));
    *own.lock().unwrap() = None;
    let outcomes = outcomes.lock().unwrap();
    assert_eq!((outcomes.len(), outcomes.iter().find(|outcome| outcome.is_err())), (3000, None));
}
