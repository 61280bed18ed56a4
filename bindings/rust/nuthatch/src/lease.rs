use crate::cache::{raw_bytes, Cache};
use crate::clock::ms_of;
use crate::error::{check, Error};
use crate::options::InsertOptions;
use crate::value::{ValueRef, Version};
use nuthatch_sys as sys;
use std::fmt;
use std::mem::MaybeUninit;
use std::time::Duration;

/// What came of asking for a value and, if it has to be computed, for the right to do so: [`Cache::fetch`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched<'a> {
    /// The value, and it is fresh.
    Hit(ValueRef<'a>),
    /// The value, still fresh; you are to compute it anew, early.
    Early(ValueRef<'a>, Lease),
    /// The value, which is stale; somebody else computes it anew.
    Stale(ValueRef<'a>),
    /// The value, which is stale; you are to compute it anew.
    Renew(ValueRef<'a>, Lease),
    /// Nothing, and somebody else computes it: ask again in a moment.
    Wait,
    /// Nothing, and you are to compute it.
    Miss(Lease),
    /// It was computed that there is nothing: [`Lease::fill_negative`].
    Negative,
}

/// The right to compute a value, which one caller has at a time. Fill it, or drop it so that somebody else may have the
/// next. It ends with its time, and with any write, removal or purge that touches the key: what was computed from
/// older data cannot replace newer.
pub struct Lease {
    cache: Cache,
    key: Vec<u8>,
    number: u64,
}

impl Cache {
    /// Asks for a value and, if it is missing or stale, for a lease that lasts so long.
    ///
    /// This is the primitive under [`Cache::get_or_try_insert_with`], for those who wait in their own manner, such as
    /// asynchronous programs.
    pub fn fetch(&self, key: impl AsRef<[u8]>, lease: Duration) -> Result<Fetched<'_>, Error> {
        self.fetch_early(key.as_ref(), lease, 0)
    }

    pub(crate) fn fetch_early(&self, key: &[u8], lease: Duration, early_percent: u32) -> Result<Fetched<'_>, Error> {
        let options = sys::nh_fetch_options {
            size: std::mem::size_of::<sys::nh_fetch_options>(),
            lease_ms: ms_of(lease).max(1), // 0 would be as if nothing were said
            early_percent,
            reserved: 0,
        };
        let (mut state, mut number, mut value) = (0, 0, MaybeUninit::uninit());
        // Safety: the key is good during the call.
        let result = unsafe {
            sys::nh_fetch(
                self.store.raw(),
                self.store.now_ms(),
                self.key(key),
                &options,
                &mut state,
                &mut number,
                value.as_mut_ptr(),
            )
        };
        self.store.tell_dropped();
        check(result)?;
        // Safety: in the states that call it, the value is lent to us.
        let lent = || unsafe { ValueRef::lent(&self.store, value.assume_init()) };
        let lease = || Lease { cache: self.clone(), key: key.to_vec(), number };
        let fetched = match state {
            sys::NH_FETCH_HIT => Fetched::Hit(lent()),
            sys::NH_FETCH_HIT_LEASE => Fetched::Early(lent(), lease()),
            sys::NH_FETCH_STALE => Fetched::Stale(lent()),
            sys::NH_FETCH_STALE_LEASE => Fetched::Renew(lent(), lease()),
            sys::NH_FETCH_MISS_LEASE => Fetched::Miss(lease()),
            _ => Fetched::Wait,
        };
        Ok(match fetched {
            Fetched::Hit(value) | Fetched::Stale(value) if value.is_negative() => Fetched::Negative,
            // That there is nothing is known already: there is no need to know it anew before its time.
            Fetched::Early(value, _lease) if value.is_negative() => Fetched::Negative,
            Fetched::Renew(value, lease) if value.is_negative() => Fetched::Miss(lease),
            fetched => fetched,
        })
    }
}

impl Lease {
    /// The key that is to be computed.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Puts what was computed. [`Error::Changed`]: the lease has ended, and nothing was put.
    pub fn fill(&self, value: impl AsRef<[u8]>, options: &InsertOptions<'_>) -> Result<Version, Error> {
        let Lease { cache, key, number } = self;
        let filled = cache.change(key, |store, now_ms, key| {
            let mut version = 0;
            let value = raw_bytes(value.as_ref());
            options.with_raw(|options| {
                // Safety: key, value and options are good during the call.
                check(unsafe { sys::nh_fill(store, now_ms, key, *number, value, options, &mut version) })
            })?;
            Ok(Version(version))
        });
        cache.store.waiters.wake(cache.space, key);
        filled
    }

    /// Remembers for so long that there is nothing: to all but [`Cache::fetch`] and loads the key is missing.
    pub fn fill_negative(&self, ttl: Duration) -> Result<(), Error> {
        let mut options = InsertOptions::new().ttl(ttl);
        options.negative = true;
        self.fill("", &options).map(|_| ())
    }

    /// Ends the lease without a value, as dropping it does. [`Error::Changed`]: something else has ended it.
    pub fn give_up(&self) -> Result<(), Error> {
        let Lease { cache, key, number } = self;
        // Safety: the key is good during the call. It changes no memory, and so may be called inside a closure
        // that looks at a value.
        let result = check(unsafe { sys::nh_give_up(cache.store.raw(), cache.key(key), *number) });
        cache.store.waiters.wake(cache.space, key);
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.give_up();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &String::from_utf8_lossy(&self.key)).finish_non_exhaustive()
    }
}
