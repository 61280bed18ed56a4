use crate::error::{found, Error};
use crate::store::Store;
use nuthatch_sys as sys;
use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Which write of a key a value is of: it changes with each. See
/// [`Cache::compare_and_swap`](crate::Cache::compare_and_swap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub(crate) u64);

impl Version {
    /// As a number, to be kept elsewhere.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The version of that number.
    pub fn from_u64(number: u64) -> Self {
        Version(number)
    }
}

enum Owner<'a> {
    Borrowed(&'a Arc<Store>),
    Kept(Arc<Store>),
}

impl Owner<'_> {
    fn store(&self) -> &Arc<Store> {
        match self {
            Owner::Borrowed(store) => store,
            Owner::Kept(store) => store,
        }
    }
}

/// A value of a cache, without a copy. The bytes stay as they are until this is dropped, even if the key is
/// overwritten, removed or evicted meanwhile; drop it soon, for the memory around it cannot be reused before.
///
/// It is a slice of bytes. A value that lies in pieces, as large ones do, is put together the first time that it is
/// looked at as a slice; [`pieces`](ValueRef::pieces) gives them as they lie. Of a value that a
/// [`Writer`](crate::Writer) is still at, both are what there was when it was asked for, and
/// [`piece_at`](ValueRef::piece_at) goes beyond.
pub struct ValueRef<'a> {
    owner: Owner<'a>,
    /// Lent by the store; nothing lent, and a `pin` of null, if the bytes are in `joined` alone.
    value: sys::nh_value,
    /// All of the bytes in one piece, ours; or null.
    joined: AtomicPtr<Vec<u8>>,
}

// Safety: a lent value may be read and released by any thread; `joined` is set once, atomically.
unsafe impl Send for ValueRef<'_> {}
unsafe impl Sync for ValueRef<'_> {}

/// The bytes that C points to. They must be good for 'a.
pub(crate) unsafe fn slice_of<'a>(bytes: sys::nh_bytes) -> &'a [u8] {
    if bytes.size == 0 {
        &[]
    } else {
        // Safety: as said above.
        unsafe { slice::from_raw_parts(bytes.data.cast(), bytes.size) }
    }
}

/// All pieces of a lent value, one behind the other; of one that grows, what there was when it was lent.
///
/// # Safety
/// `value` is lent by `store`, and stays so during the call.
pub(crate) unsafe fn join(store: *mut sys::nh_store, value: &sys::nh_value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.size as usize);
    let mut piece = sys::nh_bytes { data: ptr::null(), size: 0 };
    // Safety: the value is lent.
    while (bytes.len() as u64) < value.size
        && unsafe { sys::nh_value_piece(store, value, bytes.len() as u64, &mut piece) } == sys::NH_OK
    {
        let left = value.size as usize - bytes.len();
        piece.size = piece.size.min(left);
        bytes.extend_from_slice(unsafe { slice_of(piece) });
    }
    bytes
}

impl<'a> ValueRef<'a> {
    /// # Safety
    /// `value` is lent by the store, not by a peek or a cursor, and is the new owner's to release.
    pub(crate) unsafe fn lent(store: &'a Arc<Store>, value: sys::nh_value) -> Self {
        ValueRef { owner: Owner::Borrowed(store), value, joined: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Bytes that are not the store's, with what a value of it would say.
    pub(crate) fn owned(store: &'a Arc<Store>, bytes: Vec<u8>, version: u64, expires_at_ms: i64, flags: u32) -> Self {
        let value = sys::nh_value {
            bytes: sys::nh_bytes { data: ptr::null(), size: 0 },
            size: bytes.len() as u64,
            version,
            expires_at_ms,
            stale_at_ms: 0,
            flags,
            traits: 0,
            note: ptr::null_mut(),
            pin: ptr::null_mut(),
            pin_place: 0,
        };
        ValueRef { owner: Owner::Borrowed(store), value, joined: AtomicPtr::new(Box::into_raw(Box::new(bytes))) }
    }

    /// The value alone, without a cache to borrow: it keeps the cache itself.
    pub fn into_owned(mut self) -> ValueRef<'static> {
        let owner = Owner::Kept(Arc::clone(self.owner.store()));
        let value = self.value;
        self.value.pin = ptr::null_mut(); // the other's to release
        let joined = std::mem::replace(self.joined.get_mut(), ptr::null_mut());
        ValueRef { owner, value, joined: AtomicPtr::new(joined) }
    }

    /// The write that it is of. What was loaded and could not be kept has one that no write has.
    pub fn version(&self) -> Version {
        Version(self.value.version)
    }

    /// The flags that it was put with.
    pub fn flags(&self) -> u32 {
        self.value.flags
    }

    /// Whether its soft time to live was over, or a tag of it purged softly, when it was asked for.
    pub fn is_stale(&self) -> bool {
        self.value.traits & sys::NH_VALUE_STALE != 0
    }

    /// How long its key will be there from now on; `None`: until something is done about it.
    pub fn expires_in(&self) -> Option<Duration> {
        let left_ms = self.value.expires_at_ms.saturating_sub(self.owner.store().now_ms());
        (self.value.expires_at_ms != 0).then(|| Duration::from_millis(left_ms.max(0) as u64))
    }

    /// How long it is fresh from now on, none if it is stale; `None`: until something is done about it.
    pub fn fresh_for(&self) -> Option<Duration> {
        if self.is_stale() {
            return Some(Duration::ZERO);
        }
        let left_ms = self.value.stale_at_ms.saturating_sub(self.owner.store().now_ms());
        (self.value.stale_at_ms != 0).then(|| Duration::from_millis(left_ms.max(0) as u64))
    }

    /// Whether a [`Writer`](crate::Writer) was still at it when it was asked for: then there may be more of it than the
    /// slice shows, for [`piece_at`](ValueRef::piece_at).
    pub fn is_growing(&self) -> bool {
        self.value.traits & sys::NH_VALUE_GROWING != 0
    }

    /// Its note, [`InsertOptions::note`](crate::InsertOptions::note), where it lies: what is changed in it, the next
    /// who asks for the key sees, and it is no new version. `None` if it has none, which a note of 0 is, or the value had
    /// to be copied, as too much was lent. A change may be lost while the cache moves the value.
    ///
    /// ```
    /// # use nuthatch::{Cache, InsertOptions};
    /// # use std::sync::atomic::Ordering;
    /// # let cache = Cache::new(1 << 20)?;
    /// cache.insert_with("page", "text", &InsertOptions::new().note(1))?;
    /// cache.get("page").unwrap().note().unwrap().fetch_add(1, Ordering::Relaxed);
    /// assert_eq!(cache.get("page").unwrap().note().unwrap().load(Ordering::Relaxed), 2);
    /// # Ok::<(), nuthatch::Error>(())
    /// ```
    pub fn note(&self) -> Option<&AtomicU32> {
        // Safety: it is there, aligned, and changed by nobody but by atomic operations, for as long as the value is
        // lent, which is longer than `self` is borrowed.
        let note = unsafe { (self.value.note as *const AtomicU32).as_ref() };
        note.filter(|note| note.load(Ordering::Relaxed) != 0) // a large value has room for one in any case
    }

    /// The bytes as they lie in the cache: one piece, or several of a large value.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { value: self, offset: 0 }
    }

    /// The bytes from `offset` on, as far as they lie in one piece; `None` at the end. Of a value that grows, with what
    /// was added since it was asked for: [`Error::Growing`], if there is no more yet, says to ask again;
    /// [`Error::Aborted`]: there will be no more.
    pub fn piece_at(&self, offset: u64) -> Result<Option<&[u8]>, Error> {
        if self.value.pin.is_null() {
            let rest = usize::try_from(offset).ok().and_then(|offset| self.joined().get(offset..));
            return Ok(rest.filter(|rest| !rest.is_empty()));
        }
        let mut piece = sys::nh_bytes { data: ptr::null(), size: 0 };
        // Safety: the value is lent for as long as `self` is borrowed.
        let result = unsafe { sys::nh_value_piece(self.owner.store().raw(), &self.value, offset, &mut piece) };
        // Safety: then the piece was written, and lies in the lent value.
        Ok(found(result)?.then(|| unsafe { slice_of(piece) }))
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.value.traits & sys::NH_VALUE_NEGATIVE != 0
    }

    fn joined(&self) -> &[u8] {
        let mut joined = self.joined.load(Ordering::Acquire);
        if joined.is_null() {
            // Safety: without `joined` the value is lent.
            let ours = Box::into_raw(Box::new(unsafe { join(self.owner.store().raw(), &self.value) }));
            joined = match self.joined.compare_exchange(joined, ours, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => ours,
                Err(other) => {
                    // Safety: another thread was first; nobody has seen this one.
                    drop(unsafe { Box::from_raw(ours) });
                    other
                }
            };
        }
        // Safety: once set it stays until `self` is dropped or taken apart.
        unsafe { &*joined }
    }
}

impl Deref for ValueRef<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.value.pin.is_null() || self.value.bytes.size as u64 != self.value.size {
            return self.joined();
        }
        // Safety: lent until `self` is dropped.
        unsafe { slice_of(self.value.bytes) }
    }
}

impl AsRef<[u8]> for ValueRef<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for ValueRef<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for ValueRef<'_> {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for ValueRef<'_> {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == other[..]
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueRef")
            .field("bytes", &self.value.size)
            .field("flags", &self.flags())
            .field("is_stale", &self.is_stale())
            .finish_non_exhaustive()
    }
}

impl Drop for ValueRef<'_> {
    fn drop(&mut self) {
        let joined = *self.joined.get_mut();
        if !joined.is_null() {
            // Safety: made by Box::into_raw, and nobody looks at it any more.
            drop(unsafe { Box::from_raw(joined) });
        }
        if !self.value.pin.is_null() {
            // Safety: lent, and released here alone.
            unsafe { sys::nh_release(self.owner.store().raw(), &mut self.value) };
        }
    }
}

/// The pieces that a value lies in: [`ValueRef::pieces`].
pub struct Pieces<'a> {
    value: &'a ValueRef<'a>,
    offset: u64,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let left = self.value.value.size.saturating_sub(self.offset);
        if left == 0 {
            return None;
        }
        let piece = self.value.piece_at(self.offset).ok()??;
        let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        self.offset += piece.len() as u64;
        Some(piece)
    }
}
