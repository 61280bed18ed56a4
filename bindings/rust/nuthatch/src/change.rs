use crate::cache::{raw_bytes, Cache};
use crate::clock::ttl_ms_of;
use crate::error::{check, found, Error};
use crate::value::{ValueRef, Version};
use nuthatch_sys as sys;
use std::mem::MaybeUninit;
use std::time::Duration;

/// nh_append or nh_prepend.
type Extend = unsafe extern "C" fn(*mut sys::nh_store, i64, sys::nh_key, sys::nh_bytes, *mut u64) -> sys::nh_result;

/// What has to hold for [`Cache::touch_if`]. No end is later than every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TouchIf {
    /// The key has no time to live.
    HasNoEnd,
    /// The key has a time to live.
    HasEnd,
    /// The new end is later than the key's.
    Later,
    /// The new end is earlier than the key's.
    Earlier,
}

impl TouchIf {
    fn bit(self) -> u32 {
        match self {
            TouchIf::HasNoEnd => sys::NH_TOUCH_IF_NEVER,
            TouchIf::HasEnd => sys::NH_TOUCH_IF_SOME,
            TouchIf::Later => sys::NH_TOUCH_IF_LATER,
            TouchIf::Earlier => sys::NH_TOUCH_IF_EARLIER,
        }
    }
}

impl Cache {
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

    /// [`Cache::touch`], if all of the conditions hold at that moment; else [`Error::Changed`], and nothing was done.
    ///
    /// ```
    /// # use nuthatch::{Cache, Error, InsertOptions, TouchIf};
    /// # use std::time::Duration;
    /// # let cache = Cache::new(1 << 20)?;
    /// let (short, long) = (Some(Duration::from_secs(60)), Some(Duration::from_secs(3600)));
    /// cache.insert_with("k", "v", &InsertOptions::new().ttl(Duration::from_secs(600)))?;
    /// assert_eq!(cache.touch_if("k", short, &[TouchIf::Later]), Err(Error::Changed));
    /// assert!(cache.touch_if("k", long, &[TouchIf::HasEnd, TouchIf::Later])?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn touch_if(
        &self,
        key: impl AsRef<[u8]>,
        ttl: Option<Duration>,
        conditions: &[TouchIf],
    ) -> Result<bool, Error> {
        let bits = conditions.iter().fold(0, |bits, condition| bits | condition.bit());
        self.change(key.as_ref(), |store, now_ms, key| {
            // Safety: the key is good during the call.
            found(unsafe { sys::nh_touch_if(store, now_ms, key, ttl_ms_of(ttl), bits) })
        })
    }

    /// [`Cache::try_get`] and [`Cache::touch`] in one step. [`Error::Full`]: too much is lent, but the key may have its
    /// new time to live.
    pub fn get_and_touch(&self, key: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<Option<ValueRef<'_>>, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            let mut value = MaybeUninit::uninit();
            // Safety: the key is good during the call.
            let result = unsafe { sys::nh_get_and_touch(store, now_ms, key, ttl_ms_of(ttl), value.as_mut_ptr()) };
            // Safety: if it was found, the value is lent to us.
            Ok(found(result)?.then(|| unsafe { ValueRef::lent(&self.store, value.assume_init()) }))
        })
    }

    /// Gives a value a note if it has none, without a new version: [`ValueRef::note`]. Whether it was there;
    /// [`Error::Exists`]: it has one; [`Error::Invalid`]: 0 is no note.
    pub fn annotate(&self, key: impl AsRef<[u8]>, note: u32) -> Result<bool, Error> {
        self.change(key.as_ref(), |store, now_ms, key| {
            // Safety: the key is good during the call.
            found(unsafe { sys::nh_annotate(store, now_ms, key, note) })
        })
    }
}
