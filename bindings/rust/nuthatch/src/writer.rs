use crate::cache::{raw_bytes, Cache};
use crate::error::{check, Error};
use crate::options::InsertOptions;
use crate::value::Version;
use nuthatch_sys as sys;
use std::fmt;
use std::io;
use std::ptr;

/// A value that is written in pieces: [`Cache::writer`]. Dropped without [`commit`](Writer::commit) it is given up.
///
/// It is an [`io::Write`], too.
pub struct Writer {
    cache: Cache,
    key: Vec<u8>,
    raw: *mut sys::nh_writer, // null once it has ended
    bytes: u64,
}

// Safety: one thread at a time may use a writer of the library's, and all that do so here want `&mut self` or `self`.
unsafe impl Send for Writer {}
unsafe impl Sync for Writer {}

impl Cache {
    /// Begins a value that is written in pieces, as what comes over a network is. Nobody sees it before
    /// [`Writer::commit`], or, while it grows, before [`Writer::publish`].
    ///
    /// [`Error::Invalid`]: [`InsertOptions::keep_ttl`] or a time to live of zero, which make no sense here.
    /// [`Error::Full`].
    ///
    /// ```
    /// # use nuthatch::{Cache, Error, InsertOptions};
    /// # let cache = Cache::new(1 << 20)?;
    /// let mut writer = cache.writer("/song", &InsertOptions::new())?;
    /// writer.append("twit ")?;
    /// writer.publish()?;
    /// let song = cache.get("/song").unwrap(); // what there is so far
    /// assert!(song.is_growing());
    /// assert_eq!(song, b"twit ");
    /// assert_eq!(song.piece_at(5), Err(Error::Growing));
    ///
    /// writer.append("twit")?;
    /// writer.commit()?;
    /// assert_eq!(song.piece_at(5)?, Some(&b"twit"[..]));
    /// assert_eq!(song.piece_at(9)?, None);
    /// assert_eq!(cache.get("/song").unwrap(), b"twit twit");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn writer(&self, key: impl AsRef<[u8]>, options: &InsertOptions<'_>) -> Result<Writer, Error> {
        self.store.may_change()?;
        let key = key.as_ref();
        let mut raw = ptr::null_mut();
        let now_ms = self.store.now_ms();
        let result = options.with_raw(|options| {
            // Safety: key and options are good during the call.
            check(unsafe { sys::nh_writer_create(self.store.raw(), now_ms, self.key(key), options, &mut raw) })
        });
        self.store.tell_dropped();
        result.map(|()| Writer { cache: self.clone(), key: key.to_vec(), raw, bytes: 0 })
    }
}

impl Writer {
    /// The key that is being written.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// How many bytes were added so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds to the end. [`Error::TooLarge`], [`Error::Full`]: nothing was added, and no more can be.
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let store = &self.cache.store;
        store.may_change()?;
        let bytes = bytes.as_ref();
        // Safety: the writer has not ended; the bytes are good during the call.
        let result = check(unsafe { sys::nh_writer_append(self.raw, store.now_ms(), raw_bytes(bytes)) });
        store.tell_dropped();
        if result.is_ok() {
            self.bytes += bytes.len() as u64;
        }
        result
    }

    /// Lets readers see what there is so far, and what will come: [`ValueRef::is_growing`](crate::ValueRef::is_growing).
    /// A write, removal or purge of the key from here on wins over this writer.
    pub fn publish(&mut self) -> Result<(), Error> {
        let Writer { cache, key, raw, .. } = self;
        cache.change(key, |_, now_ms, _| {
            // Safety: the writer has not ended.
            check(unsafe { sys::nh_writer_publish(*raw, now_ms) })
        })
    }

    /// Ends the value: it is whole. [`Error::Changed`]: it was published, and the key was written, removed or purged
    /// since; [`Error::Full`]; and what an [`append`](Writer::append) said when it failed. On an error it is given up. What
    /// was begun before a [`Cache::clear`] or a purge of one of its tags may be gone with the rest, which is no error.
    pub fn commit(mut self) -> Result<Version, Error> {
        let Writer { cache, key, raw, .. } = &mut self;
        cache.change(key, |_, now_ms, _| {
            let mut version = 0;
            // Safety: the writer has not ended, and this ends it in any case.
            check(unsafe { sys::nh_writer_commit(std::mem::replace(raw, ptr::null_mut()), now_ms, &mut version) })?;
            Ok(Version(version))
        })
    }

    /// Gives the value up, as dropping the writer does. Who reads it already keeps what there was.
    pub fn abort(self) {}
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.raw.is_null() {
            return;
        }
        // Safety: the writer has not ended. It takes no memory, and so may be called inside a closure that looks at a
        // value.
        unsafe { sys::nh_writer_abort(self.raw) };
        self.cache.store.waiters.wake_if_any(self.cache.space, &self.key);
        self.cache.store.tell_dropped();
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    /// Nothing waits to be written; readers see it once it is published.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("key", &String::from_utf8_lossy(&self.key))
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
