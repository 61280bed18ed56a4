//! What Rust adds to the library: who owns what, what may be called when, and types.

use nuthatch::{Cache, Cause, Error, Fetched, InsertOptions, LoadError, ManualClock, TouchIf};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn small() -> Cache {
    Cache::new(1 << 20).unwrap()
}

/// A value that lies in pieces, whose bytes are not all the same.
fn large(cache: &Cache) -> Vec<u8> {
    (0..cache.stats().segment_bytes * 3).map(|i| (i % 251) as u8).collect()
}

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn everything_may_go_to_another_thread() {
    is_send_and_sync::<Cache>();
    is_send_and_sync::<nuthatch::ValueRef<'static>>();
    is_send_and_sync::<nuthatch::Lease>();
    is_send_and_sync::<nuthatch::Writer>();
    is_send_and_sync::<nuthatch::Iter<'static>>();
}

#[test]
fn a_value_stays_as_it_was_whatever_happens_to_its_key() {
    let cache = small();
    cache.insert("k", "before").unwrap();
    let value = cache.get("k").unwrap();
    cache.insert("k", "after").unwrap();
    cache.remove("k").unwrap();
    for i in 0..20_000 {
        cache.insert(i.to_string(), [7; 200]).unwrap();
    }
    assert!(cache.stats().evicted > 0);
    assert_eq!(value, b"before");
    assert!(cache.stats().pinned_bytes > 0);
    drop(value);
    assert_eq!(cache.stats().pinned_bytes, 0);
}

#[test]
fn a_large_value_is_one_slice_and_several_pieces() {
    let cache = small();
    let bytes = large(&cache);
    cache.insert("k", &bytes).unwrap();
    let value = cache.get("k").unwrap();
    assert!(value.pieces().count() > 1);
    assert_eq!(value.pieces().flatten().copied().collect::<Vec<u8>>(), bytes);
    assert_eq!(&value[..], &bytes[..]);
    assert_eq!(cache.get_with("k", |value| value == &bytes[..]), Some(true));
    let owned = value.into_owned();
    assert_eq!(&owned[..], &bytes[..]);
}

#[test]
fn too_much_lent_is_an_error_and_no_wrong_value() {
    let cache = small();
    let bytes = large(&cache);
    let mut lent = Vec::new();
    let error = (0..100).find_map(|i| {
        cache.insert(i.to_string(), &bytes).unwrap();
        match cache.try_get(i.to_string()) {
            Ok(value) => {
                lent.push(value.unwrap());
                None
            }
            Err(error) => Some(error),
        }
    });
    assert_eq!(error, Some(Error::Full));
    assert!(lent.iter().all(|value| value[..] == bytes[..]));
    // It is no reason not to load.
    let key = lent.len().to_string();
    assert_eq!(cache.get_or_insert_with(&key, InsertOptions::new(), || b"v".to_vec()).unwrap(), b"v");
    drop(lent);
    assert!(cache.try_get(&key).unwrap().unwrap()[..] == bytes[..]);
}

#[test]
fn a_cache_that_is_looked_at_may_be_read_and_is_not_changed() {
    let cache = small();
    cache.insert("k", "v").unwrap();
    let other = small();
    let inside = cache.clone();
    cache.get_with("k", |value| {
        assert_eq!(value, b"v");
        assert_eq!(inside.insert("k", "w"), Err(Error::LookedAt));
        assert_eq!(inside.remove("k"), Err(Error::LookedAt));
        assert_eq!(inside.clear(), Err(Error::LookedAt));
        assert_eq!(inside.purge_tag("t"), Err(Error::LookedAt));
        assert_eq!(inside.sweep(10), Err(Error::LookedAt));
        assert_eq!(inside.bound(0, 0), Err(Error::LookedAt));
        assert_eq!(inside.clone().save("/nowhere/at/all"), Err(Error::LookedAt));
        let loaded = inside.get_or_insert_with("l", InsertOptions::new(), || unreachable!());
        assert_eq!(loaded.unwrap_err(), LoadError::Cache(Error::LookedAt));
        assert_eq!(inside.get("k").unwrap(), b"v");
        assert_eq!(inside.get_with("k", |_| inside.insert("k", "w")), Some(Err(Error::LookedAt)));
        assert_eq!(inside.insert("k", "w"), Err(Error::LookedAt));
        // A lease may be given back at any time.
        assert!(matches!(inside.fetch("m", Duration::from_secs(9)), Ok(Fetched::Miss(_))));
        other.insert("k", "w").unwrap();
    });
    cache.insert("k", "x").unwrap();
    assert_eq!(cache.get("k").unwrap(), b"x");
}

#[test]
fn a_panic_while_looking_leaves_the_cache_usable() {
    let cache = small();
    cache.insert("k", "v").unwrap();
    let looked = panic::catch_unwind(AssertUnwindSafe(|| {
        cache.get_with("k", |_| panic::resume_unwind(Box::new("no")));
    }));
    assert!(looked.is_err());
    for i in 0..20_000 {
        cache.insert(i.to_string(), [7; 200]).unwrap(); // needs memory that is reused
    }
}

#[test]
fn a_listener_is_told_and_may_use_the_cache() {
    let clock = ManualClock::new();
    let told: Arc<Mutex<Vec<(Vec<u8>, Cause)>>> = Arc::default();
    let cache: Arc<Mutex<Option<Cache>>> = Arc::default();
    let (told_too, cache_too) = (Arc::clone(&told), Arc::clone(&cache));
    let built = Cache::builder()
        .memory(1 << 20)
        .clock(clock.clone())
        .on_dropped(move |dropped| {
            told_too.lock().unwrap().push((dropped.key.clone(), dropped.cause));
            if let Some(cache) = &*cache_too.lock().unwrap() {
                cache.insert("last", &dropped.key).unwrap();
            }
        })
        .build()
        .unwrap();
    *cache.lock().unwrap() = Some(built.clone());
    built.insert_with("short", "v", &InsertOptions::new().ttl(Duration::from_millis(5))).unwrap();
    clock.advance(Duration::from_millis(5));
    built.sweep(1000).unwrap();
    assert_eq!(*told.lock().unwrap(), [(b"short".to_vec(), Cause::Expired)]);
    assert_eq!(built.get("last").unwrap(), b"short");
    for i in 0..20_000 {
        built.insert(i.to_string(), [7; 200]).unwrap();
    }
    assert!(told.lock().unwrap().iter().any(|(_, cause)| *cause == Cause::Evicted));
    *cache.lock().unwrap() = None; // it would keep itself
}

#[test]
fn a_listener_that_panics_does_no_harm() {
    let cache = Cache::builder().memory(1 << 20).on_dropped(|_| panic::resume_unwind(Box::new("no"))).build().unwrap();
    for i in 0..20_000 {
        cache.insert(i.to_string(), [7; 200]).unwrap();
    }
    assert!(cache.stats().evicted > 0);
}

/// What panics when it is dropped, as a panic's payload may.
struct Unkind;

impl Drop for Unkind {
    fn drop(&mut self) {
        panic::resume_unwind(Box::new("no, either"));
    }
}

#[test]
fn a_listener_whose_panic_panics_when_it_is_dropped_does_no_harm() {
    let told: Arc<Mutex<usize>> = Arc::default();
    let told_too = Arc::clone(&told);
    let count = move |_: &nuthatch::Dropped| {
        *told_too.lock().unwrap() += 1;
        panic::resume_unwind(Box::new(Unkind));
    };
    let cache = Cache::builder().memory(1 << 20).on_dropped(count).build().unwrap();
    for i in 0..20_000 {
        cache.insert(i.to_string(), [7; 200]).unwrap();
    }
    assert_eq!(*told.lock().unwrap() as u64, cache.stats().evicted);
}

#[test]
fn a_load_whose_panic_or_error_panics_when_it_is_dropped_leaves_no_lease() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(1 << 20).clock(clock.clone()).build().unwrap();
    let payload = panic::catch_unwind(AssertUnwindSafe(|| {
        let panics = || -> Vec<u8> { panic::resume_unwind(Box::new(Unkind)) };
        cache.get_or_insert_with("k", InsertOptions::new(), panics).map(drop)
    }));
    std::mem::forget(payload.unwrap_err());
    assert_eq!(cache.get_or_insert_with("k", InsertOptions::new(), || b"v".to_vec()).unwrap(), b"v");

    // An error that nobody is told of, as there is a stale value.
    let insert = InsertOptions::new().soft_ttl(Duration::from_secs(1));
    cache.insert_with("k", "old", &insert).unwrap();
    clock.advance(Duration::from_secs(1));
    let stale = nuthatch::LoadOptions::new(insert).stale_on_error();
    let fails = |options: &nuthatch::LoadOptions<'_>| {
        let loaded = panic::catch_unwind(AssertUnwindSafe(|| {
            cache.get_or_try_insert_with("k", options.clone(), || Err(Unkind)).map_err(std::mem::forget).map(drop)
        }));
        drop(loaded.unwrap_err()); // what the error panicked with
        assert_eq!(cache.stats().pinned_bytes, 0);
    };
    fails(&stale);
    assert!(matches!(cache.fetch("k", Duration::from_secs(9)), Ok(Fetched::Renew(..))));

    // Nor of an early refresh.
    let insert = InsertOptions::new().ttl(Duration::from_secs(60)).cost(Duration::from_secs(60_000));
    cache.insert_with("k", "old", &insert).unwrap();
    let early = nuthatch::LoadOptions::new(insert).early_percent(1000);
    fails(&early);
    fails(&early); // the lease was given back
}

#[test]
fn a_cache_is_not_saved_while_it_is_in_use() {
    let path = std::env::temp_dir().join(format!("nuthatch-rust-in-use-{}", std::process::id()));
    let cache = small();
    cache.insert("k", "v").unwrap();
    let clone = cache.clone();
    assert_eq!(cache.save(&path), Err(Error::InUse));
    let value = clone.get("k").unwrap().into_owned();
    assert_eq!(clone.save(&path), Err(Error::InUse));
    drop(value);
    assert!(!path.exists());
    assert_eq!(small().save("/nowhere/at/all"), Err(Error::Io { errno: 2 }));
    assert_eq!(small().save("a\0b"), Err(Error::Invalid));
}

#[test]
fn what_cannot_be_restored_is_an_error_and_stays() {
    let path = std::env::temp_dir().join(format!("nuthatch-rust-corrupt-{}", std::process::id()));
    std::fs::write(&path, "not a cache").unwrap();
    assert_eq!(Cache::builder().memory(1 << 20).build_restored(&path).unwrap_err(), Error::Corrupt);
    std::fs::remove_file(&path).unwrap();
    let (cache, count) = Cache::builder().memory(1 << 20).build_restored(&path).unwrap();
    assert_eq!((cache.len(), count), (0, 0));
}

#[test]
fn what_was_loaded_says_what_it_will_say_when_it_is_read() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(1 << 20).clock(clock).build().unwrap();
    let options = InsertOptions::new().ttl(Duration::from_secs(9)).flags(7);
    let says = |value: nuthatch::ValueRef| (value.version(), value.flags(), value.expires_in(), value.is_stale());
    let loaded = says(cache.get_or_insert_with("k", options, || b"v".to_vec()).unwrap());
    assert_eq!((loaded.1, loaded.2), (7, Some(Duration::from_secs(9))));
    assert_eq!(loaded, says(cache.get("k").unwrap()));
}

#[test]
fn spaces_do_not_see_each_other() {
    let cache = small();
    let other = cache.space(1).unwrap();
    cache.insert("k", "here").unwrap();
    other.insert("k", "there").unwrap();
    assert_eq!(cache.get("k").unwrap(), b"here");
    assert_eq!(other.get("k").unwrap(), b"there");
    assert_eq!(other.iter().count(), 1);
    other.clear().unwrap();
    assert!(other.is_empty());
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.space(nuthatch::SPACES).unwrap_err(), Error::Invalid);
}

#[test]
fn a_walk_sees_all_and_the_cache_may_be_changed_on_the_way() {
    let cache = Cache::new(16 << 20).unwrap();
    for i in 0..10_000 {
        cache.insert(i.to_string(), i.to_string()).unwrap();
    }
    let mut keys = std::collections::HashSet::new();
    for entry in &cache {
        let entry = entry.unwrap();
        assert_eq!(entry.key, entry.value);
        cache.remove(&entry.key).unwrap();
        keys.insert(entry.key);
    }
    assert_eq!(keys.len(), 10_000);
    assert!(cache.is_empty());
}

#[test]
fn times_are_rounded_up_and_never_wrap() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(1 << 20).clock(clock.clone()).build().unwrap();
    let left = |ttl| {
        cache.insert_with("k", "v", &InsertOptions::new().ttl(ttl)).unwrap();
        cache.get("k").map(|value| value.expires_in())
    };
    assert_eq!(left(Duration::from_nanos(1)), Some(Some(Duration::from_millis(1))));
    assert_eq!(left(Duration::ZERO), None);
    assert!(left(Duration::MAX).is_some());
    assert!(cache.touch("k", Some(Duration::ZERO)).unwrap());
    assert!(!cache.contains_key("k"));
}

#[test]
fn options_that_cannot_be_are_errors() {
    assert_eq!(Cache::new(1000).unwrap_err(), Error::OutOfRange);
    assert_eq!(Cache::new(0).unwrap_err(), Error::OutOfRange);
    let cache = small();
    let tags: Vec<String> = (0..=nuthatch::TAGS_MAX).map(|i| i.to_string()).collect();
    let tagged = |count| tags[..count].iter().fold(InsertOptions::new(), |options, tag| options.tag(tag));
    assert_eq!(cache.insert_with("k", "v", &tagged(nuthatch::TAGS_MAX + 1)), Err(Error::Invalid));
    let loaded = cache.get_or_insert_with("k", tagged(nuthatch::TAGS_MAX + 1), || unreachable!());
    assert_eq!(loaded.unwrap_err(), LoadError::Cache(Error::Invalid));
    cache.insert_with("k", "v", &tagged(nuthatch::TAGS_MAX)).unwrap();
    cache.purge_tag(tags[100].as_str()).unwrap();
    assert!(cache.get("k").is_none());
}

#[test]
fn a_purge_refuses_what_was_made_before_it() {
    let cache = small();
    let before = cache.purge_number();
    cache.purge_tag("t").unwrap();
    let options = InsertOptions::new().tag("t");
    assert_eq!(cache.insert_with("k", "v", &options.clone().as_of_purge(before)), Err(Error::Changed));
    cache.insert_with("k", "v", &options.as_of_purge(cache.purge_number())).unwrap();
}

#[test]
fn what_is_read_much_is_known() {
    let cache = Cache::builder().memory(16 << 20).insight(1).build().unwrap();
    assert_eq!(small().hot_keys(10).unwrap_err(), Error::Missing);
    assert_eq!(small().miss_ratio_curve().unwrap_err(), Error::Missing);
    cache.insert("hot", "v").unwrap();
    for i in 0..20_000 {
        cache.get_with("hot", |_| ());
        cache.get_with(i.to_string(), |_| ());
    }
    assert_eq!(cache.hot_keys(1).unwrap()[0].key, b"hot");
    assert!(cache.hot_keys(0).is_ok());
    let curve = cache.miss_ratio_curve().unwrap();
    assert!(curve.iter().all(|point| (0.0..=1.0).contains(&point.miss_ratio)));
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (20_000, 20_000));
}

#[test]
fn an_exchange_gives_what_was_there() {
    let cache = small();
    let options = InsertOptions::new();
    assert!(cache.exchange("k", "first", &options).unwrap().is_none());
    let before = cache.exchange("k", "second", &options.clone().flags(2)).unwrap().unwrap();
    assert_eq!(before, b"first");
    drop(before);
    assert_eq!(cache.get("k").unwrap().flags(), 2);
    let bytes = large(&cache);
    cache.insert("large", &bytes).unwrap();
    let before = cache.exchange("large", "small", &options).unwrap().unwrap();
    assert!(before[..] == bytes[..]);
    drop(before);
    assert_eq!(cache.exchange("k", [0; 1 << 20], &options).unwrap_err(), Error::TooLarge);
    assert_eq!(cache.get("k").unwrap(), b"second");
    assert_eq!(cache.stats().pinned_bytes, 0);
}

#[test]
fn another_value_at_a_version_keeps_all_else() {
    let cache = small();
    let options = InsertOptions::new().flags(7).note(3).tag("t").ttl(Duration::from_secs(60));
    let first = cache.insert_with("k", "1", &options).unwrap();
    let second = cache.compare_and_swap_value("k", "2", first).unwrap();
    assert_eq!(cache.compare_and_swap_value("k", "3", first), Err(Error::Changed));
    assert_eq!(cache.compare_and_swap_value("none", "3", first), Err(Error::Missing));
    let value = cache.get("k").unwrap();
    assert_eq!((&value[..], value.flags(), value.version()), (&b"2"[..], 7, second));
    assert_eq!(value.note().unwrap().load(Ordering::Relaxed), 3);
    assert!(value.expires_in().is_some());
    cache.purge_tag("t").unwrap();
    assert!(cache.get("k").is_none());
}

#[test]
fn a_copy_has_all_that_its_original_has() {
    let cache = small();
    let options = InsertOptions::new().flags(7).tag("t").ttl(Duration::from_secs(60));
    let bytes = large(&cache);
    for value in [&b"v"[..], &bytes] {
        cache.insert_with("from", value, &options).unwrap();
        let version = cache.copy("from", "to").unwrap();
        let copy = cache.get("to").unwrap();
        assert!(copy[..] == *value);
        assert_eq!((copy.flags(), copy.version()), (7, version));
        assert!(copy.expires_in().is_some());
        cache.purge_tag("t").unwrap();
        assert!(cache.get("to").is_none());
    }
    assert_eq!(cache.copy("none", "to"), Err(Error::Missing));
}

#[test]
fn a_touch_may_have_conditions() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(1 << 20).clock(clock).build().unwrap();
    let seconds = |count| Some(Duration::from_secs(count));
    let left = || cache.get("k").unwrap().expires_in();
    assert_eq!(cache.touch_if("k", seconds(9), &[]), Ok(false));
    cache.insert("k", "v").unwrap();
    assert_eq!(cache.touch_if("k", seconds(9), &[TouchIf::HasEnd]), Err(Error::Changed));
    assert_eq!(cache.touch_if("k", seconds(9), &[TouchIf::Later]), Err(Error::Changed));
    assert_eq!(cache.touch_if("k", seconds(9), &[TouchIf::HasNoEnd, TouchIf::Earlier]), Ok(true));
    assert_eq!(cache.touch_if("k", seconds(5), &[TouchIf::Later]), Err(Error::Changed));
    assert_eq!(left(), seconds(9));
    assert_eq!(cache.touch_if("k", None, &[TouchIf::HasEnd, TouchIf::Later]), Ok(true));
    assert_eq!(left(), None);
    assert_eq!(cache.get_and_touch("k", seconds(3)).unwrap().unwrap().expires_in(), seconds(3));
    assert!(cache.get_and_touch("none", seconds(3)).unwrap().is_none());
    assert_eq!(cache.touch_if("k", Some(Duration::ZERO), &[TouchIf::Earlier]), Ok(true));
    assert!(cache.get("k").is_none());
}

#[test]
fn a_note_changes_in_place_and_is_no_new_version() {
    let cache = small();
    let note = |key: &str| cache.get(key).unwrap().note().map(|note| note.load(Ordering::Relaxed));
    let bytes = large(&cache);
    for value in [&b"v"[..], &bytes] {
        let version = cache.insert("k", value).unwrap();
        assert_eq!(note("k"), None);
        assert_eq!(cache.annotate("k", 0), Err(Error::Invalid));
        assert_eq!(cache.annotate("k", 5), Ok(true));
        assert_eq!(cache.annotate("k", 6), Err(Error::Exists));
        cache.get("k").unwrap().note().unwrap().fetch_add(2, Ordering::Relaxed);
        assert_eq!(note("k"), Some(7));
        assert_eq!(cache.get("k").unwrap().version(), version);
    }
    assert_eq!(cache.annotate("none", 5), Ok(false));
    cache.insert_with("k", "v", &InsertOptions::new().note(u32::MAX).flags(1).ttl(Duration::from_secs(9))).unwrap();
    assert_eq!(note("k"), Some(u32::MAX));
    let loaded = cache.get_or_insert_with("new", InsertOptions::new().note(3), || b"v".to_vec()).unwrap();
    assert!(loaded.note().is_none()); // it is the loader's, not the cache's
    drop(loaded);
    assert_eq!(note("new"), Some(3));
}

#[test]
fn who_makes_a_value_can_ask_whether_it_is_still_wanted() {
    let cache = small();
    let before = cache.purge_number();
    assert_eq!(cache.was_purged(&["a", "b"], before), Ok(false));
    cache.purge_tag_softly("b").unwrap();
    assert_eq!(cache.was_purged(&["a", "b"], before), Ok(true));
    assert_eq!(cache.was_purged(&["a", "b"], cache.purge_number()), Ok(false));
    assert_eq!(cache.was_purged::<&str>(&[], before), Ok(false));
}

#[test]
fn clocks_may_say_anything() {
    for now_ms in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        let cache = Cache::builder().memory(1 << 20).clock(move || now_ms).insight(1).build().unwrap();
        let options = InsertOptions::new().ttl(Duration::MAX).soft_ttl(Duration::from_secs(1)).cost(Duration::MAX);
        cache.insert_with("k", "v", &options).unwrap();
        cache.get("k").map(|value| (value.expires_in(), value.fresh_for(), value.is_stale()));
        cache.touch("k", Some(Duration::from_secs(1))).unwrap();
        let _ = cache.touch_if("k", Some(Duration::from_secs(1)), &[TouchIf::Later]);
        let load = nuthatch::LoadOptions::new(options).early_percent(u32::MAX).lease(Duration::MAX);
        cache.get_or_insert_with("k", load, || b"v".to_vec()).unwrap();
        cache.make_stale("k").unwrap();
        cache.increment("n", i64::MAX).unwrap();
        cache.iter().for_each(|entry| drop(entry.unwrap()));
        cache.sweep(usize::MAX).unwrap();
    }
}
