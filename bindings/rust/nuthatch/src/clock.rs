use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Where a cache takes the time from. A closure that returns milliseconds is a clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since some moment; they do not go back.
    fn now_ms(&self) -> i64;
}

impl<F: Fn() -> i64 + Send + Sync + 'static> Clock for F {
    fn now_ms(&self) -> i64 {
        self()
    }
}

/// A clock that stands still until it is told to go on, for tests. Clones are the same clock.
///
/// ```
/// use nuthatch::{Cache, InsertOptions, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache = Cache::builder().clock(clock.clone()).build()?;
/// cache.insert_with("k", "v", &InsertOptions::new().ttl(Duration::from_secs(3600)))?;
/// clock.advance(Duration::from_secs(3600));
/// assert!(cache.get("k").is_none());
/// # Ok::<(), nuthatch::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    ms: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that stands at an arbitrary moment.
    pub fn new() -> Self {
        ManualClock { ms: Arc::new(AtomicI64::new(1_000_000)) }
    }

    /// Moves it on, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.ms.load(Ordering::SeqCst)
    }
}

/// The clock of a cache: the system's without a detour, or the one that was given.
pub(crate) enum Time {
    System,
    Given(Box<dyn Clock>),
}

impl Time {
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Time::System => system::now_ms(),
            Time::Given(clock) => clock.now_ms(),
        }
    }
}

/// Linux's coarse monotonic clock: it moves every few milliseconds, and is read in a fifth of the time that the
/// fine one takes, which would be a good part of a look-up.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::os::raw::{c_int, c_long};

    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: c_long,
    }

    extern "C" {
        fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    }

    const CLOCK_MONOTONIC_COARSE: c_int = 6;

    pub(super) fn now_ms() -> i64 {
        let mut time = Timespec { seconds: 0, nanoseconds: 0 };
        // Safety: `time` is a struct timespec of a 64-bit Linux. It cannot fail for a clock that every Linux has.
        unsafe { clock_gettime(CLOCK_MONOTONIC_COARSE, &mut time) };
        time.seconds * 1000 + time.nanoseconds as i64 / 1_000_000
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    use std::sync::Once;
    use std::time::Instant;

    static mut START: Option<Instant> = None;
    static ONCE: Once = Once::new();

    pub(super) fn now_ms() -> i64 {
        // Safety: written once, before anybody reads.
        ONCE.call_once(|| unsafe { START = Some(Instant::now()) });
        let start = unsafe { START }.unwrap();
        1 + start.elapsed().as_millis() as i64
    }
}

/// Whole milliseconds, rounded up so that a short time is not none.
pub(crate) fn ms_of(duration: Duration) -> i64 {
    let ms = duration.as_nanos().saturating_add(999_999) / 1_000_000;
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A time to live as C has it: there 0 is none, and a negative one is over at once.
pub(crate) fn ttl_ms_of(ttl: Option<Duration>) -> i64 {
    match ttl {
        None => 0,
        Some(Duration::ZERO) => -1,
        Some(ttl) => ms_of(ttl),
    }
}
