use crate::cache::{raw_path, wall_ms, Cache};
use crate::clock::{Clock, Time};
use crate::dropped::{dropped, Dropped, Listener};
use crate::error::{check, Error};
use crate::store::Store;
use nuthatch_sys as sys;
use std::os::raw::c_void;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// What a cache is to be like: [`Cache::builder`].
pub struct Builder {
    memory_bytes: u64,
    value_bytes_max: u64,
    insight_spaces: u32,
    huge_pages: bool,
    time: Time,
    listener: Option<Listener>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Builder {
            memory_bytes: 0,
            value_bytes_max: 0,
            insight_spaces: 0,
            huge_pages: false,
            time: Time::System,
            listener: None,
        }
    }

    /// How many bytes of memory it may take, everything included: 1 MiB to 16 TiB; 64 MiB if this is not called.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes.max(1); // 0 would be as if nothing were said
        self
    }

    /// How large a value may be; 64 MiB if this is not called, and never more than half of the memory.
    pub fn value_max(mut self, bytes: u64) -> Self {
        self.value_bytes_max = bytes.max(1);
        self
    }

    /// Another clock than the system's. The default one is monotonic and moves every few milliseconds.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.time = Time::Given(Box::new(clock));
        self
    }

    /// Keeps [`Cache::hot_keys`], and a [`Cache::miss_ratio_curve`] of the first so many spaces that are read, of at
    /// most 8.
    pub fn insight(mut self, spaces: u32) -> Self {
        self.insight_spaces = spaces;
        self
    }

    /// Asks for transparent huge pages.
    pub fn huge_pages(mut self) -> Self {
        self.huge_pages = true;
        self
    }

    /// Has `listener` told of each key that leaves by itself, by whichever thread's call it leaves in, when that is
    /// done: the listener may use the cache. A panic in it goes no further. A listener that has a clone of the
    /// cache keeps it for ever.
    pub fn on_dropped(mut self, listener: impl Fn(&Dropped) + Send + Sync + 'static) -> Self {
        self.listener = Some(Listener::new(Box::new(listener)));
        self
    }

    /// Makes the cache. [`Error::OutOfRange`] for sizes that cannot be, [`Error::NoMemory`], [`Error::Incompatible`].
    pub fn build(self) -> Result<Cache, Error> {
        // Safety: no arguments.
        if unsafe { sys::nh_abi_version() } != sys::NH_ABI_VERSION {
            return Err(Error::Incompatible);
        }
        let listener = self.listener.map(Arc::new);
        let options = sys::nh_options {
            size: std::mem::size_of::<sys::nh_options>(),
            memory_bytes: self.memory_bytes,
            value_bytes_max: self.value_bytes_max,
            hash_seed: 0,
            insight_spaces: self.insight_spaces,
            huge_pages: self.huge_pages.into(),
            dropped: listener.as_ref().map(|_| dropped as unsafe extern "C" fn(*mut c_void, sys::nh_key, i32)),
            dropped_context: listener.as_ref().map_or(ptr::null_mut(), |listener| Arc::as_ptr(listener) as *mut c_void),
        };
        let mut raw = ptr::null_mut();
        // Safety: the listener is the store's own, and so there for as long as it is.
        check(unsafe { sys::nh_create(&options, &mut raw) })?;
        let raw = NonNull::new(raw).ok_or(Error::NoMemory)?;
        Ok(Cache { store: Arc::new(Store::new(raw, self.time, listener)), space: 0 })
    }

    /// Makes the cache with what [`Cache::save`] left in a file, as far as it has not expired since, and says how many
    /// values that are. The file is removed, as what is written from now on is not in it; none at all is no error.
    /// [`Error::Corrupt`] or [`Error::Io`]: the file is left where it is.
    ///
    /// ```
    /// # use nuthatch::Cache;
    /// # let path = std::env::temp_dir().join(format!("nuthatch-doc-{}", std::process::id()));
    /// let cache = Cache::new(1 << 20)?;
    /// cache.insert("acorn", "under the oak")?;
    /// cache.save(&path)?;
    ///
    /// let (cache, count) = Cache::builder().memory(1 << 20).build_restored(&path)?;
    /// assert_eq!(count, 1);
    /// assert_eq!(&cache.get("acorn").unwrap()[..], b"under the oak");
    /// # Ok::<(), nuthatch::Error>(())
    /// ```
    pub fn build_restored(self, path: impl AsRef<Path>) -> Result<(Cache, u64), Error> {
        let path = raw_path(path.as_ref())?;
        let cache = self.build()?;
        let mut count = 0;
        // Safety: nobody else has the store yet.
        let result =
            unsafe { sys::nh_restore(cache.store.raw(), path.as_ptr(), cache.store.now_ms(), wall_ms(), &mut count) };
        if result != sys::NH_MISSING {
            check(result)?;
        }
        cache.store.tell_dropped();
        Ok((cache, count))
    }
}
