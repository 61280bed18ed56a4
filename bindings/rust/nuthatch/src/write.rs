use crate::cache::{raw_bytes, Cache};
use crate::clock::ttl_ms_of;
use crate::error::{check, found, Error};
use crate::options::InsertOptions;
use crate::value::Version;
use nuthatch_sys as sys;
use std::time::Duration;

/// nh_put, nh_add or nh_replace.
type Put = unsafe extern "C" fn(
    *mut sys::nh_store,
    i64,
    sys::nh_key,
    sys::nh_bytes,
    *const sys::nh_put_options,
    *mut u64,
) -> sys::nh_result;

/// nh_append or nh_prepend.
type Extend = unsafe extern "C" fn(*mut sys::nh_store, i64, sys::nh_key, sys::nh_bytes, *mut u64) -> sys::nh_result;

impl Cache {
    /// A call of the library that changes one key, and what goes with it.
    #[inline]
    pub(crate) fn change<R>(
        &self,
        key: &[u8],
        change: impl FnOnce(*mut sys::nh_store, i64, sys::nh_key) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.store.may_change()?;
        let result = change(self.store.raw(), self.store.now_ms(), self.key(key));
        self.store.waiters.wake_if_any(self.space, key);
        self.store.tell_dropped();
        result
    }

    #[inline]
    fn put(&self, put: Put, key: &[u8], value: &[u8], options: &InsertOptions<'_>) -> Result<Version, Error> {
        self.change(key, |store, now_ms, key| {
            let mut version = 0;
            options.with_raw(|options| {
                // Safety: key, value and options are good during the call.
                check(unsafe { put(store, now_ms, key, raw_bytes(value), options, &mut version) })
            })?;
            Ok(Version(version))
        })
    }

    /// Puts a value, whatever was there, until something is done about it. [`Error::TooLarge`]; [`Error::Full`]: no
    /// room could be made, as too much is lent.
    #[inline]
    pub fn insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Version, Error> {
        self.put(sys::nh_put, key.as_ref(), value.as_ref(), &InsertOptions::new())
    }

    /// Puts a value as the options say, whatever was there.
    pub fn insert_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: &InsertOptions<'_>,
    ) -> Result<Version, Error> {
        self.put(sys::nh_put, key.as_ref(), value.as_ref(), options)
    }

    /// Puts a value if the key is not there; else [`Error::Exists`].
    pub fn add(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: &InsertOptions<'_>,
    ) -> Result<Version, Error> {
        self.put(sys::nh_add, key.as_ref(), value.as_ref(), options)
    }

    /// Puts a value if the key is there; else [`Error::Missing`].
    pub fn replace(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: &InsertOptions<'_>,
    ) -> Result<Version, Error> {
        self.put(sys::nh_replace, key.as_ref(), value.as_ref(), options)
    }

    /// Puts a value if the key is still at the version that was read; else [`Error::Changed`], or [`Error::Missing`].
    ///
    /// ```
    /// # use nuthatch::{Cache, Error, InsertOptions};
    /// # let cache = Cache::new(1 << 20)?;
    /// let options = InsertOptions::new();
    /// let read = cache.insert("k", "1")?;
    /// cache.compare_and_swap("k", "2", read, &options)?;
    /// assert_eq!(cache.compare_and_swap("k", "3", read, &options), Err(Error::Changed));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expected: Version,
        options: &InsertOptions<'_>,
    ) -> Result<Version, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            let mut version = 0;
            let value = raw_bytes(value.as_ref());
            options.with_raw(|options| {
                // Safety: key, value and options are good during the call.
                check(unsafe { sys::nh_cas(store, now_ms, key, value, options, expected.0, &mut version) })
            })?;
            Ok(Version(version))
        })
    }

    fn extend(&self, extend: Extend, key: &[u8], more: &[u8]) -> Result<Version, Error> {
        self.change(key, |store, now_ms, key| {
            let mut version = 0;
            // Safety: key and bytes are good during the call.
            check(unsafe { extend(store, now_ms, key, raw_bytes(more), &mut version) })?;
            Ok(Version(version))
        })
    }

    /// Adds bytes behind a value that is there; else [`Error::Missing`]. All else of it stays.
    pub fn append(&self, key: impl AsRef<[u8]>, more: impl AsRef<[u8]>) -> Result<Version, Error> {
        self.extend(sys::nh_append, key.as_ref(), more.as_ref())
    }

    /// Adds bytes before a value that is there; else [`Error::Missing`]. All else of it stays.
    pub fn prepend(&self, key: impl AsRef<[u8]>, more: impl AsRef<[u8]>) -> Result<Version, Error> {
        self.extend(sys::nh_prepend, key.as_ref(), more.as_ref())
    }

    /// Reads a value as a decimal number, adds to it, and writes the sum as text in its place, in one step; a missing
    /// key counts as 0. [`Error::NotANumber`]; [`Error::OutOfRange`]: the sum does not fit.
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            let mut sum = 0;
            // Safety: the key is good during the call.
            check(unsafe { sys::nh_increment(store, now_ms, key, by, sys::NH_INCREMENT_SIGNED, &mut sum) })?;
            Ok(sum)
        })
    }

    /// Removes a key; whether it was there.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            // Safety: the key is good during the call.
            found(unsafe { sys::nh_delete(store, now_ms, key) })
        })
    }

    /// Has a key live so long from now on; `None`: until something is done about it. Whether it was there.
    pub fn touch(&self, key: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<bool, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            // Safety: the key is good during the call.
            found(unsafe { sys::nh_touch(store, now_ms, key, ttl_ms_of(ttl)) })
        })
    }

    /// Makes a value stale: it is still served, and the next who loads it renews it. Whether it was there.
    pub fn make_stale(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            // Safety: the key is good during the call.
            found(unsafe { sys::nh_make_stale(store, now_ms, key) })
        })
    }

    fn change_many(&self, change: impl FnOnce(*mut sys::nh_store) -> Result<(), Error>) -> Result<(), Error> {
        self.store.may_change()?;
        let result = change(self.store.raw());
        self.store.waiters.wake_all();
        self.store.tell_dropped();
        result
    }

    fn purge(&self, tag: &[u8], how: i32) -> Result<(), Error> {
        // Safety: the tag is good during the call.
        self.change_many(|store| check(unsafe { sys::nh_purge_tag(store, raw_bytes(tag), how) }))
    }

    /// Drops all values that carry a tag, in all spaces, however many there are, at once. Tags share 1,024 slots and
    /// more, up to one for each 4 KiB of memory: what carries another tag of the same slot may go with them.
    pub fn purge_tag(&self, tag: impl AsRef<[u8]>) -> Result<(), Error> {
        self.purge(tag.as_ref(), sys::NH_PURGE_DROP)
    }

    /// Makes all values stale that carry a tag: they are still served, and renewed by who loads them next.
    pub fn purge_tag_softly(&self, tag: impl AsRef<[u8]>) -> Result<(), Error> {
        self.purge(tag.as_ref(), sys::NH_PURGE_SOFT)
    }

    /// A number for the purges by tag so far: [`InsertOptions::as_of_purge`].
    pub fn purge_number(&self) -> u64 {
        // Safety: any thread may.
        unsafe { sys::nh_purge_number(self.store.raw()) }
    }

    /// Drops all values of this space.
    pub fn clear(&self) -> Result<(), Error> {
        self.change_many(|store| {
            // Safety: any thread may.
            unsafe { sys::nh_clear(store, self.space) };
            Ok(())
        })
    }

    /// Bounds the memory of this space: it always finds room up to `bytes_min`, whatever other spaces hold, and makes
    /// room among its own values beyond `bytes_max` (0: no bound). [`Error::OutOfRange`]; [`Error::Full`]: seven
    /// spaces have bounds already.
    pub fn bound(&self, bytes_min: u64, bytes_max: u64) -> Result<(), Error> {
        // Safety: any thread may.
        self.change_many(|store| check(unsafe { sys::nh_space_bound(store, self.space, bytes_min, bytes_max) }))
    }

    /// Frees some of what is over, looking at about so many entries; how many it freed. Nothing that is over is ever
    /// served: this is for who wants the memory back early, or the listener told.
    pub fn sweep(&self, budget: usize) -> Result<usize, Error> {
        self.store.may_change()?;
        // Safety: any thread may.
        let count = unsafe { sys::nh_sweep(self.store.raw(), self.store.now_ms(), budget) };
        self.store.tell_dropped();
        Ok(count)
    }
}
