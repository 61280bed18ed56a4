//! The crate, and what a Rust program would take instead, on the work of ../library.c, which says what the arguments and
//! the JSON mean. SUBJECT: get-with, get, get-into of nuthatch; rwlock-hashmap, lru.

use nuthatch::Cache;
use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::os::raw::{c_int, c_long};
use std::sync::{Barrier, Mutex, RwLock};
use std::time::Instant;
use std::{env, fs, process, thread};

const PUT_EVERY: u64 = 10;
const SHARDS: usize = 64;

type Key = [u8; 16];

fn key_of(id: u32) -> Key {
    let mut key = *b"nuthatch\0\0\0\0\0\0\0\0";
    key[8..].copy_from_slice(&u64::from(id).to_le_bytes());
    key
}

/// A cache that is measured. What `read` returns is some of the value, so that it is looked at.
trait Subject: Sync {
    fn put(&self, key: &Key, value: &[u8]);
    fn read(&self, key: &Key, buffer: &mut [u8]) -> Option<u64>;
}

fn look(value: &[u8]) -> u64 {
    u64::from(value[0]) + u64::from(value[value.len() - 1])
}

struct GetWith(Cache);
struct Get(Cache);
struct GetInto(Cache);

impl Subject for GetWith {
    fn put(&self, key: &Key, value: &[u8]) {
        self.0.insert(key, value).unwrap();
    }
    fn read(&self, key: &Key, _: &mut [u8]) -> Option<u64> {
        self.0.get_with(key, look)
    }
}

impl Subject for Get {
    fn put(&self, key: &Key, value: &[u8]) {
        self.0.insert(key, value).unwrap();
    }
    fn read(&self, key: &Key, _: &mut [u8]) -> Option<u64> {
        self.0.get(key).map(|value| look(&value))
    }
}

impl Subject for GetInto {
    fn put(&self, key: &Key, value: &[u8]) {
        self.0.insert(key, value).unwrap();
    }
    fn read(&self, key: &Key, buffer: &mut [u8]) -> Option<u64> {
        self.0.get_into(key, buffer).map(|size| look(&buffer[..size]))
    }
}

/// Maps with locks of their own, so that threads seldom meet.
struct Sharded<L> {
    shards: Vec<L>,
    hasher: RandomState,
}

impl<L> Sharded<L> {
    fn new(shard: impl Fn() -> L) -> Self {
        Sharded { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new() }
    }
    fn shard(&self, key: &Key) -> &L {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        &self.shards[hasher.finish() as usize % SHARDS]
    }
}

impl Subject for Sharded<RwLock<HashMap<Key, Box<[u8]>>>> {
    fn put(&self, key: &Key, value: &[u8]) {
        self.shard(key).write().unwrap().insert(*key, value.into());
    }
    fn read(&self, key: &Key, _: &mut [u8]) -> Option<u64> {
        self.shard(key).read().unwrap().get(key).map(|value| look(value))
    }
}

impl Subject for Sharded<Mutex<lru::LruCache<Key, Box<[u8]>>>> {
    fn put(&self, key: &Key, value: &[u8]) {
        self.shard(key).lock().unwrap().put(*key, value.into());
    }
    fn read(&self, key: &Key, _: &mut [u8]) -> Option<u64> {
        self.shard(key).lock().unwrap().get(key).map(|value| look(value))
    }
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: c_long,
}

extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
}

const CLOCK_THREAD_CPUTIME_ID: c_int = 3;

fn cpu_ns() -> u64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // Safety: `time` is a struct timespec of a 64-bit Linux.
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

fn rss_bytes() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

struct Plan {
    ids: Vec<u32>,
    value_bytes: usize,
    threads: usize,
    operations: u64,
}

/// How many reads there were, and how many found their value.
fn go_through<S: Subject>(plan: &Plan, subject: &S, thread: usize, operations: u64) -> (u64, u64) {
    let (mut reads, mut hits, mut sum) = (0, 0, 0u64);
    let mut buffer = vec![0; 65536];
    let mut at = plan.ids.len() / plan.threads * thread;
    for i in 0..operations {
        let id = plan.ids[at];
        let key = key_of(id);
        if i % PUT_EVERY == PUT_EVERY - 1 {
            buffer[..plan.value_bytes].fill(id as u8);
            subject.put(&key, &buffer[..plan.value_bytes]);
        } else {
            reads += 1;
            if let Some(seen) = subject.read(&key, &mut buffer) {
                hits += 1;
                sum += seen;
            }
        }
        at = (at + 1) % plan.ids.len();
    }
    // Safety: a read of our own; it keeps the compiler from leaving out what nobody would see.
    let _ = unsafe { std::ptr::read_volatile(&sum) };
    (reads, hits)
}

fn measure<S: Subject>(plan: &Plan, items: u32, subject: S) {
    let rss_before = rss_bytes();
    let mut value = vec![0; plan.value_bytes];
    for id in 0..items {
        value.fill(id as u8);
        subject.put(&key_of(id), &value);
    }
    let bytes_per_item = (rss_bytes() - rss_before) / f64::from(items);
    let start = Barrier::new(plan.threads);
    let found: Vec<(u64, f64, u64, u64)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let (start, subject) = (&start, &subject);
                scope.spawn(move || {
                    go_through(plan, subject, thread, plan.operations / 4); // warms up
                    start.wait();
                    let (cpu, wall) = (cpu_ns(), Instant::now());
                    let (reads, hits) = go_through(plan, subject, thread, plan.operations);
                    (cpu_ns() - cpu, wall.elapsed().as_nanos() as f64, reads, hits)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let operations = plan.operations as f64 * plan.threads as f64;
    println!(
        "{{\"cpu_ns\": {:.2}, \"ns\": {:.2}, \"bytes_per_item\": {:.1}, \"hit_ratio\": {:.6}}}",
        found.iter().map(|worker| worker.0).sum::<u64>() as f64 / operations,
        found.iter().map(|worker| worker.1).sum::<f64>() / operations,
        bytes_per_item,
        found.iter().map(|worker| worker.3).sum::<u64>() as f64
            / found.iter().map(|worker| worker.2).sum::<u64>() as f64
    );
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.len() != 8 {
        eprintln!("bindings-rust: SUBJECT FILE ITEMS VALUE_BYTES MEMORY_BYTES THREADS OPERATIONS");
        process::exit(1);
    }
    let number = |i: usize| arguments[i].parse::<u64>().expect("a number");
    let ids = fs::read(&arguments[2]).expect("the file of numbers");
    let plan = Plan {
        ids: ids.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect(),
        value_bytes: number(4) as usize,
        threads: number(6) as usize,
        operations: number(7),
    };
    drop(ids);
    let items = number(3) as u32;
    let cache = || Cache::new(number(5)).unwrap();
    match arguments[1].as_str() {
        "get-with" => measure(&plan, items, GetWith(cache())),
        "get" => measure(&plan, items, Get(cache())),
        "get-into" => measure(&plan, items, GetInto(cache())),
        "rwlock-hashmap" => {
            measure(&plan, items, Sharded::new(|| RwLock::new(HashMap::<Key, Box<[u8]>>::new())))
        }
        "lru" => {
            // A little more than a shard's part, as keys are not spread quite evenly. It is allocated at once.
            let capacity = items as usize / SHARDS * 5 / 4 + 100;
            measure(&plan, items, Sharded::new(|| Mutex::new(lru::LruCache::<Key, Box<[u8]>>::new(capacity))))
        }
        other => {
            eprintln!("bindings-rust: no subject called {other}");
            process::exit(1);
        }
    }
}
