use crate::cache::{raw_bytes, Cache};
use crate::error::{check, found, Error};
use crate::options::InsertOptions;
use crate::value::{ValueRef, Version};
use nuthatch_sys as sys;
use std::mem::MaybeUninit;

/// nh_put, nh_add or nh_replace.
type Put = unsafe extern "C" fn(
    *mut sys::nh_store,
    i64,
    sys::nh_key,
    sys::nh_bytes,
    *const sys::nh_put_options,
    *mut u64,
) -> sys::nh_result;

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

    /// Puts another value at the version that was read, as [`Cache::compare_and_swap`] does; flags, times to live, tags
    /// and note stay.
    pub fn compare_and_swap_value(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expected: Version,
    ) -> Result<Version, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            let mut version = 0;
            let value = raw_bytes(value.as_ref());
            // Safety: key and value are good during the call.
            check(unsafe { sys::nh_cas_value(store, now_ms, key, value, expected.0, &mut version) })?;
            Ok(Version(version))
        })
    }

    /// Puts a value, whatever was there, and gives what that was. [`Error::Full`] also if too much is lent to lend that:
    /// then it stays.
    ///
    /// ```
    /// # use nuthatch::{Cache, InsertOptions};
    /// # let cache = Cache::new(1 << 20)?;
    /// let options = InsertOptions::new();
    /// assert!(cache.exchange("larder", "acorn", &options)?.is_none());
    /// assert_eq!(cache.exchange("larder", "beetle", &options)?.unwrap(), b"acorn");
    /// # Ok::<(), nuthatch::Error>(())
    /// ```
    pub fn exchange(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: &InsertOptions<'_>,
    ) -> Result<Option<ValueRef<'_>>, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            let (mut before, mut had_before) = (MaybeUninit::uninit(), 0);
            let value = raw_bytes(value.as_ref());
            options.with_raw(|options| {
                // Safety: key, value and options are good during the call.
                check(unsafe {
                    sys::nh_exchange(store, now_ms, key, value, options, before.as_mut_ptr(), &mut had_before)
                })
            })?;
            // Safety: then it was written, and is lent to us.
            Ok((had_before != 0).then(|| unsafe { ValueRef::lent(&self.store, before.assume_init()) }))
        })
    }

    /// Puts what one key has at another, whatever was there, with flags, times to live and tags. [`Error::Missing`];
    /// [`Error::Growing`]: a [`Writer`](crate::Writer) is still at the value.
    pub fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<Version, Error> {
        let from = self.key(from.as_ref());
        self.change(to.as_ref(), |store, now_ms, to| {
            let mut version = 0;
            // Safety: both keys are good during the call.
            check(unsafe { sys::nh_copy(store, now_ms, from, to, &mut version) })?;
            Ok(Version(version))
        })
    }

    /// Removes a key; whether it was there.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            // Safety: the key is good during the call.
            found(unsafe { sys::nh_delete(store, now_ms, key) })
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

    /// Whether one of these tags was purged, softly or not, since [`Cache::purge_number`] said that number: then what is
    /// being made need not be finished.
    pub fn was_purged<T: AsRef<[u8]>>(&self, tags: &[T], purge_number: u64) -> Result<bool, Error> {
        let tags: Vec<sys::nh_bytes> = tags.iter().map(|tag| raw_bytes(tag.as_ref())).collect();
        // Safety: the tags are good during the call.
        match unsafe { sys::nh_check_tags(self.store.raw(), tags.as_ptr(), tags.len(), purge_number) } {
            sys::NH_CHANGED => Ok(true),
            result => check(result).map(|()| false),
        }
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
