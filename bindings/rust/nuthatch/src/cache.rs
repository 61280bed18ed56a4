use crate::builder::Builder;
use crate::error::{check, found, Error};
use crate::look::looking;
use crate::store::Store;
use crate::value::{join, slice_of, ValueRef};
use nuthatch_sys as sys;
use std::ffi::CString;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::raw::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A cache. Clones are the same cache; it is freed when the last of them, of its owned values, of its leases
/// and of its writers is dropped.
///
/// Keys and values are bytes. What a method takes as a key may be anything that is a slice of bytes: `&str`, `&[u8]`,
/// `Vec<u8>`, …
#[derive(Clone)]
pub struct Cache {
    pub(crate) store: Arc<Store>,
    pub(crate) space: u32,
}

/// A value that is looked at where it lies, and given back even if who looks panics.
struct Peeked<'a> {
    store: &'a Store,
    value: sys::nh_value,
}

impl Drop for Peeked<'_> {
    fn drop(&mut self) {
        // Safety: lent by nh_peek on this thread, and released here alone.
        unsafe { sys::nh_release(self.store.raw(), &mut self.value) };
    }
}

pub(crate) fn raw_key(space: u32, key: &[u8]) -> sys::nh_key {
    sys::nh_key { data: key.as_ptr() as *const c_void, size: key.len(), space }
}

pub(crate) fn raw_bytes(bytes: &[u8]) -> sys::nh_bytes {
    sys::nh_bytes { data: bytes.as_ptr() as *const c_void, size: bytes.len() }
}

impl Cache {
    /// A cache of so many bytes of memory, with everything else as [`Cache::builder`] has it.
    pub fn new(memory_bytes: u64) -> Result<Cache, Error> {
        Cache::builder().memory(memory_bytes).build()
    }

    /// What a cache is to be like.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The same cache, seen through another space: the same bytes in two spaces are two keys. [`Cache::clear`],
    /// [`Cache::len`] and [`Cache::iter`] are about one space; the builder makes a cache of space 0.
    pub fn space(&self, space: u32) -> Result<Cache, Error> {
        if space >= sys::NH_SPACES {
            return Err(Error::Invalid);
        }
        Ok(Cache { store: Arc::clone(&self.store), space })
    }

    pub(crate) fn key(&self, key: &[u8]) -> sys::nh_key {
        raw_key(self.space, key)
    }

    // ---- reading ----

    /// The value of a key, if it is there. What is wrong with the key or for want of memory counts as missing;
    /// [`Cache::try_get`] tells it apart.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<ValueRef<'_>> {
        self.try_get(key).ok().flatten()
    }

    /// The value of a key, or `None` if it is not there. [`Error::Full`]: too much of the cache is lent to lend a
    /// value in pieces.
    pub fn try_get(&self, key: impl AsRef<[u8]>) -> Result<Option<ValueRef<'_>>, Error> {
        let mut value = MaybeUninit::uninit();
        // Safety: the key is good during the call.
        let result = unsafe {
            sys::nh_borrow(self.store.raw(), self.store.now_ms(), self.key(key.as_ref()), value.as_mut_ptr())
        };
        self.store.tell_dropped();
        // Safety: if it was found, the value is lent to us.
        Ok(found(result)?.then(|| unsafe { ValueRef::lent(&self.store, value.assume_init()) }))
    }

    /// Calls `look` with the value of a key, where it lies, and returns what it returns; `None` if the key is not
    /// there. The fastest way to read. No memory of the cache can be reused meanwhile: do not wait for
    /// anything in `look`. The cache cannot be changed in it: it can be read, but what would change it says
    /// [`Error::LookedAt`].
    ///
    /// ```
    /// # let cache = nuthatch::Cache::new(1 << 20)?;
    /// cache.insert("greeting", "hello")?;
    /// assert_eq!(cache.get_with("greeting", |value| value.len()), Some(5));
    /// # Ok::<(), nuthatch::Error>(())
    /// ```
    #[inline]
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.look_at(self.store.now_ms(), key.as_ref(), look)
    }

    #[inline]
    fn look_at<R>(&self, now_ms: i64, key: &[u8], look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut value = MaybeUninit::uninit();
        // Safety: the key is good during the call.
        let result = unsafe { sys::nh_peek(self.store.raw(), now_ms, self.key(key), value.as_mut_ptr()) };
        if result != sys::NH_OK {
            self.store.tell_dropped();
            return None;
        }
        // Safety: it was found, and so is written and lent to us.
        let peeked = Peeked { store: &self.store, value: unsafe { value.assume_init() } };
        let said = Self::look_in(&self.store, peeked, look);
        self.store.tell_dropped(); // when nothing is lent any more: the listener may write
        Some(said)
    }

    #[inline]
    fn look_in<R>(store: &Store, peeked: Peeked<'_>, look: impl FnOnce(&[u8]) -> R) -> R {
        if peeked.value.bytes.size as u64 != peeked.value.size {
            // Safety: lent.
            let bytes = unsafe { join(store.raw(), &peeked.value) };
            drop(peeked);
            return look(&bytes);
        }
        // Safety: lent until `peeked` is dropped.
        let bytes = unsafe { slice_of(peeked.value.bytes) };
        looking(store.raw(), || look(bytes))
    }

    /// Copies the value of a key into `buffer`, as much of it as fits, and says how large the whole is; `None` if the
    /// key is not there.
    pub fn get_into(&self, key: impl AsRef<[u8]>, buffer: &mut [u8]) -> Option<usize> {
        let mut size = 0;
        let data = buffer.as_mut_ptr() as *mut c_void;
        // Safety: key and buffer are good during the call.
        let result = unsafe {
            sys::nh_get(self.store.raw(), self.store.now_ms(), self.key(key.as_ref()), data, buffer.len(), &mut size)
        };
        self.store.tell_dropped();
        (result == sys::NH_OK).then(|| size)
    }

    /// The values of many keys, in their order. Their memory is asked for all at once, which is faster than one after
    /// the other.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<ValueRef<'_>>> {
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(PREFETCH) {
            self.prefetch(batch);
            values.extend(batch.iter().map(|key| self.get(key)));
        }
        values
    }

    /// Calls `look` for each of many keys that is there, with its place among them and its value, as
    /// [`Cache::get_with`] does.
    pub fn get_many_with<K: AsRef<[u8]>>(&self, keys: &[K], mut look: impl FnMut(usize, &[u8])) {
        let now_ms = self.store.now_ms();
        for (i, batch) in keys.chunks(PREFETCH).enumerate() {
            self.prefetch(batch);
            for (j, key) in batch.iter().enumerate() {
                self.look_at(now_ms, key.as_ref(), |value| look(i * PREFETCH + j, value));
            }
        }
    }

    fn prefetch<K: AsRef<[u8]>>(&self, keys: &[K]) {
        let mut raw = [self.key(&[]); PREFETCH];
        for (to, from) in raw.iter_mut().zip(keys) {
            *to = self.key(from.as_ref());
        }
        // Safety: the keys are good during the call.
        unsafe { sys::nh_prefetch(self.store.raw(), raw.as_ptr(), keys.len()) };
    }

    /// Whether a key is there. It is no use of the key: it may leave as if nobody had asked.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        let mut value = MaybeUninit::uninit();
        // Safety: the key is good during the call.
        let result = unsafe {
            sys::nh_peek_unnoticed(self.store.raw(), self.store.now_ms(), self.key(key.as_ref()), value.as_mut_ptr())
        };
        if result == sys::NH_OK {
            // Safety: it was found, and so is written and lent to us.
            drop(Peeked { store: &self.store, value: unsafe { value.assume_init() } });
        }
        result == sys::NH_OK
    }

    /// How many values are in this space, those included that are over and have not been freed yet.
    pub fn len(&self) -> u64 {
        // Safety: any thread may.
        unsafe { sys::nh_count(self.store.raw(), self.space) }
    }

    /// Whether [`Cache::len`] is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // ---- warm restart ----

    /// Writes all that is alive into a file, from which [`Builder::build_restored`] makes a cache again, with what is
    /// left of the values' lives. The file appears complete or not at all. This must be the only clone, and nothing
    /// of the cache may be lent, or else it is [`Error::InUse`].
    pub fn save(self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.store.may_change()?;
        let path = raw_path(path.as_ref())?;
        let store = Arc::try_unwrap(self.store).map_err(|_| Error::InUse)?;
        // Safety: nobody else has the store, and it is dropped next.
        check(unsafe { sys::nh_save(store.raw(), path.as_ptr(), store.now_ms(), wall_ms()) })
    }
}

/// As many keys as nh_prefetch asks for at once.
const PREFETCH: usize = 64;

pub(crate) fn raw_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::Invalid)
}

/// The time of day, as nh_save and nh_restore want it.
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("space", &self.space).field("len", &self.len()).finish_non_exhaustive()
    }
}
