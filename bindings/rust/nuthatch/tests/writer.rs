//! Values that are written in pieces, and who reads them meanwhile.

use nuthatch::{Cache, Error, Fetched, InsertOptions, LoadOptions, ManualClock, Writer};
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

fn small() -> Cache {
    Cache::new(4 << 20).unwrap()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i % 251) as u8).collect()
}

#[test]
fn nobody_sees_a_value_before_it_is_published_or_whole() {
    let cache = small();
    cache.insert("k", "old").unwrap();
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.append("new").unwrap();
    assert_eq!((writer.key(), writer.bytes()), (&b"k"[..], 3));
    assert_eq!(cache.get("k").unwrap(), b"old");
    let version = writer.commit().unwrap();
    let value = cache.get("k").unwrap();
    assert_eq!(value, b"new");
    assert_eq!(value.version(), version);
    assert!(!value.is_growing());
}

#[test]
fn a_writer_that_is_dropped_leaves_what_was_there() {
    let cache = small();
    cache.insert("k", "old").unwrap();
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.append(bytes(300_000)).unwrap();
    drop(writer);
    cache.writer("k", &InsertOptions::new()).unwrap().abort();
    assert_eq!(cache.get("k").unwrap(), b"old");
}

#[test]
fn a_slice_is_what_there_was_and_pieces_go_on() {
    let cache = small();
    let all = bytes(700_000);
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.append(&all[..300_000]).unwrap();
    writer.publish().unwrap();
    let value = cache.get("k").unwrap();
    assert!(value.is_growing());
    writer.append(&all[300_000..]).unwrap();
    assert_eq!(value[..], all[..300_000]);
    assert_eq!(value.pieces().collect::<Vec<_>>().concat(), &all[..300_000]);
    assert!(cache.get_with("k", |seen| seen == &all[..]).unwrap());
    writer.commit().unwrap();
    let mut read = Vec::new();
    while let Some(piece) = value.piece_at(read.len() as u64).unwrap() {
        read.extend_from_slice(piece);
    }
    assert!(read == all);
    assert_eq!(value[..], all[..300_000]);
    assert_eq!(value.piece_at(u64::MAX), Ok(None));
    let owned = value.into_owned();
    assert_eq!(owned[..], all[..300_000]);
}

#[test]
fn who_reads_what_is_given_up_keeps_what_there_was() {
    let cache = small();
    let all = bytes(300_000);
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.append(&all).unwrap();
    writer.publish().unwrap();
    let value = cache.get("k").unwrap();
    drop(writer);
    assert!(cache.get("k").is_none());
    assert_eq!(value[..], all[..]);
    assert_eq!(value.piece_at(all.len() as u64), Err(Error::Aborted));
}

#[test]
fn a_write_wins_over_a_writer_that_has_published() {
    let cache = small();
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.append("writer's").unwrap();
    writer.publish().unwrap();
    assert_eq!(cache.append("k", "more"), Err(Error::Growing));
    assert_eq!(cache.copy("k", "l"), Err(Error::Growing));
    cache.insert("k", "inserted").unwrap();
    writer.append(" more").unwrap();
    assert_eq!(writer.commit(), Err(Error::Changed));
    assert_eq!(cache.get("k").unwrap(), b"inserted");

    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.publish().unwrap();
    let version = cache.get("k").unwrap().version();
    cache.compare_and_swap_value("k", "swapped", version).unwrap();
    assert_eq!(writer.commit(), Err(Error::Changed));
    assert_eq!(cache.get("k").unwrap(), b"swapped");
}

#[test]
fn what_does_not_fit_is_an_error_and_leaves_what_was_there() {
    let cache = Cache::builder().memory(4 << 20).value_max(1000).build().unwrap();
    cache.insert("k", "old").unwrap();
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.append([1; 1000]).unwrap();
    assert_eq!(writer.append([1; 1]), Err(Error::TooLarge));
    assert_eq!(writer.append([1; 1]), Err(Error::TooLarge));
    assert_eq!(writer.bytes(), 1000);
    assert_eq!(writer.commit(), Err(Error::TooLarge));
    assert_eq!(cache.get("k").unwrap(), b"old");

    let keeps = InsertOptions::new().keep_ttl();
    assert_eq!(cache.writer("k", &keeps).unwrap_err(), Error::Invalid);
    assert_eq!(cache.writer("k", &InsertOptions::new().ttl(Duration::ZERO)).unwrap_err(), Error::Invalid);
    assert_eq!(cache.writer(vec![0; nuthatch::KEY_BYTES_MAX + 1], &InsertOptions::new()).unwrap_err(), Error::TooLarge);
    // Values that are written take room that no other can have.
    let mut writers: Vec<Writer> = Vec::new();
    let error = (0..1000).find_map(|i| match cache.writer(i.to_string(), &InsertOptions::new()) {
        Ok(writer) => {
            writers.push(writer);
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(error, Some(Error::Full));
}

#[test]
fn a_writer_is_an_io_write() {
    let cache = Cache::builder().memory(4 << 20).value_max(500_000).build().unwrap();
    let all = bytes(400_000);
    let mut writer = cache.writer("k", &InsertOptions::new().flags(3)).unwrap();
    assert_eq!(io::copy(&mut &all[..], &mut writer).unwrap(), 400_000);
    writer.flush().unwrap();
    writer.commit().unwrap();
    let value = cache.get("k").unwrap();
    assert_eq!(value.flags(), 3);
    assert!(value[..] == all[..]);
    let mut writer = cache.writer("l", &InsertOptions::new()).unwrap();
    let error = writer.write_all(&bytes(600_000)).unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref::<Error>(), Some(&Error::TooLarge));
}

#[test]
fn a_writer_keeps_its_cache_and_goes_to_another_thread() {
    let cache = small();
    let path = std::env::temp_dir().join(format!("nuthatch-rust-writer-{}", std::process::id()));
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    let reader = cache.clone();
    assert_eq!(cache.save(&path), Err(Error::InUse));
    thread::spawn(move || {
        writer.append("written there").unwrap();
        writer.commit().unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(reader.get("k").unwrap(), b"written there");
    let writer = reader.writer("k", &InsertOptions::new()).unwrap();
    drop(reader);
    drop(writer);
}

#[test]
fn a_cache_that_is_looked_at_is_not_written_in_pieces_but_a_writer_may_end() {
    let cache = small();
    cache.insert("k", "v").unwrap();
    let mut writer = cache.writer("w", &InsertOptions::new()).unwrap();
    writer.append(bytes(100_000)).unwrap();
    writer.publish().unwrap();
    cache.get_with("k", move |_| {
        assert_eq!(writer.append("more"), Err(Error::LookedAt));
        assert_eq!(writer.publish(), Err(Error::LookedAt));
        drop(writer);
    });
    assert!(cache.get("w").is_none());
    let writer = cache.writer("w", &InsertOptions::new()).unwrap();
    cache.get_with("k", |_| {
        assert_eq!(cache.writer("x", &InsertOptions::new()).unwrap_err(), Error::LookedAt);
        assert_eq!(writer.commit(), Err(Error::LookedAt));
    });
    assert!(cache.get("w").is_none());
}

#[test]
fn a_value_that_is_written_ends_a_lease_and_the_waiting_for_it() {
    let cache = small();
    let lease = match cache.fetch("k", Duration::from_secs(60)).unwrap() {
        Fetched::Miss(lease) => lease,
        other => panic!("{other:?}"),
    };
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| cache.get_or_insert_with("k", LoadOptions::default(), || unreachable!()).unwrap().to_vec());
        while cache.stats().lease_waits == 0 {
            thread::yield_now();
        }
        let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
        writer.append("written").unwrap();
        writer.commit().unwrap();
        assert_eq!(waiting.join().unwrap(), b"written");
    });
    assert_eq!(lease.fill("older", &InsertOptions::new()), Err(Error::Changed));
}

#[test]
fn readers_follow_a_writer() {
    let cache = small();
    let all = bytes(500_000);
    let mut writer = cache.writer("k", &InsertOptions::new()).unwrap();
    writer.publish().unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let value = cache.get("k").unwrap();
                let mut read = Vec::new();
                loop {
                    match value.piece_at(read.len() as u64) {
                        Ok(Some(piece)) => read.extend_from_slice(piece),
                        Ok(None) => break,
                        Err(Error::Growing) => thread::yield_now(),
                        Err(error) => panic!("{error}"),
                    }
                }
                assert!(read == all);
            });
        }
        // Who comes late would find the whole.
        while cache.stats().hits < 2 {
            thread::yield_now();
        }
        for piece in all.chunks(7001) {
            writer.append(piece).unwrap();
        }
        writer.commit().unwrap();
    });
}

#[test]
fn a_written_value_has_a_life_like_any_other() {
    let clock = ManualClock::new();
    let cache = Cache::builder().memory(4 << 20).clock(clock.clone()).build().unwrap();
    let options = InsertOptions::new().ttl(Duration::from_secs(9)).soft_ttl(Duration::from_secs(4)).tag("t");
    for size in [10, 300_000] {
        let mut writer = cache.writer("k", &options).unwrap();
        writer.append(bytes(size)).unwrap();
        writer.commit().unwrap();
        let value = cache.get("k").unwrap();
        assert_eq!(value.expires_in(), Some(Duration::from_secs(9)));
        assert_eq!(value.fresh_for(), Some(Duration::from_secs(4)));
        clock.advance(Duration::from_secs(4));
        assert_eq!(value.fresh_for(), Some(Duration::ZERO));
        cache.purge_tag("t").unwrap();
        assert!(cache.get("k").is_none());
    }
}

#[test]
fn values_are_whole_however_many_write_them_in_pieces() {
    let cache = small(); // so that there is eviction as well
    let act = &|thread: usize| {
        for round in 0..200 {
            let key = (round * 7 + thread).to_string().repeat(1 + round % 3);
            let key = &key[..1]; // ten keys
            let byte = round as u8;
            // Nobody minds if there is no room at a moment: writers cannot be evicted.
            match (thread + round) % 4 {
                0 => {
                    if let Ok(mut writer) = cache.writer(key, &InsertOptions::new().tag("t").note(1)) {
                        let _ = (round % 3 > 0).then(|| writer.publish());
                        for size in [1, 10_000, 70_000] {
                            let _ = writer.append(vec![byte; size]);
                        }
                        let _ = if round % 5 > 0 { writer.commit().map(drop) } else { Ok(writer.abort()) };
                    }
                }
                1 => {
                    if let Ok(Some(before)) = cache.exchange(key, [byte; 3000], &InsertOptions::new()) {
                        assert!(before.iter().all(|byte| *byte == before[0]));
                    }
                    let _ = cache.copy(key, ((round + 1) % 10).to_string());
                }
                2 => {
                    let _ = cache.annotate(key, 5);
                    let _ = if round % 20 > 0 { cache.remove(key).map(drop) } else { cache.purge_tag("t") };
                }
                _ => {
                    if let Some(value) = cache.get(key).map(|value| value.into_owned()) {
                        value.note().map(|note| note.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                        let mut count = 0;
                        while let Ok(Some(piece)) = value.piece_at(count) {
                            assert!(piece.iter().all(|byte| *byte == piece[0]));
                            count += piece.len() as u64;
                        }
                        assert!(count >= value.len() as u64);
                        assert!(value.iter().all(|byte| *byte == value[0]));
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || act(thread));
        }
    });
    assert_eq!(cache.stats().pinned_bytes, 0);
    cache.insert("k", vec![1; 1_000_000]).unwrap(); // no memory is lost
}
