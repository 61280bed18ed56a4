use crate::cache::Cache;
use crate::error::Error;
use crate::store::Store;
use crate::value::{join, slice_of, Version};
use nuthatch_sys as sys;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// A key with what it has: [`Cache::iter`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The flags that the value was put with.
    pub flags: u32,
    /// Which write it is of; `None` if there was too much lent to know.
    pub version: Option<Version>,
    /// Whether the value is stale.
    pub is_stale: bool,
    /// How long it will be there; `None`: until something is done about it.
    pub expires_in: Option<Duration>,
}

/// All that is in a space: [`Cache::iter`].
pub struct Iter<'a> {
    store: Arc<Store>,
    space: u32,
    position: u64,
    is_at_end: bool,
    /// Of the step that was taken last.
    entries: VecDeque<Entry>,
    cache: PhantomData<&'a Cache>,
}

/// A cursor of the library's for one step; it holds nothing of the cache from one step to the next.
struct Cursor(*mut sys::nh_cursor);

impl Drop for Cursor {
    fn drop(&mut self) {
        // Safety: made by nh_cursor_create.
        unsafe { sys::nh_cursor_destroy(self.0) }
    }
}

/// How many positions of a cursor, of a few keys each, are gone through at once.
const STEP: u64 = 8;

impl Cache {
    /// Copies of all keys and values of this space, in no order. What is there from the beginning to the end of the
    /// walk is seen at least once, and may be seen again if the cache grows meanwhile; it may be changed on the way.
    /// An error ends the walk.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            store: Arc::clone(&self.store),
            space: self.space,
            position: 0,
            is_at_end: false,
            entries: VecDeque::new(),
            cache: PhantomData,
        }
    }
}

impl<'a> IntoIterator for &'a Cache {
    type Item = Result<Entry, Error>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Iter<'_> {
    fn entry(&self, now_ms: i64, key: sys::nh_key, value: &sys::nh_value) -> Entry {
        Entry {
            // Safety: lent by the cursor until its next step.
            key: unsafe { slice_of(sys::nh_bytes { data: key.data, size: key.size }) }.to_vec(),
            value: unsafe { join(self.store.raw(), value) },
            flags: value.flags,
            version: (value.version != 0).then(|| Version(value.version)),
            is_stale: value.traits & sys::NH_VALUE_STALE != 0,
            expires_in: (value.expires_at_ms != 0)
                .then(|| Duration::from_millis(value.expires_at_ms.saturating_sub(now_ms).max(0) as u64)),
        }
    }

    fn step(&mut self) -> Result<(), Error> {
        let now_ms = self.store.now_ms();
        let mut raw = ptr::null_mut();
        // Safety: the store outlives the cursor, which is this function's alone.
        crate::error::check(unsafe { sys::nh_cursor_create(self.store.raw(), self.position, &mut raw) })?;
        let cursor = Cursor(raw);
        unsafe { sys::nh_cursor_narrow(cursor.0, self.space, self.position.saturating_add(STEP)) };
        loop {
            let (mut key, mut value) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            // Safety: as above.
            match unsafe { sys::nh_cursor_next(cursor.0, now_ms, key.as_mut_ptr(), value.as_mut_ptr()) } {
                sys::NH_OK => {
                    // Safety: both were written.
                    let (key, value) = unsafe { (key.assume_init(), value.assume_init()) };
                    if value.traits & sys::NH_VALUE_NEGATIVE == 0 {
                        self.entries.push_back(self.entry(now_ms, key, &value));
                    }
                }
                sys::NH_MISSING => break,
                error => return Err(Error::of(error)),
            }
        }
        // Safety: as above.
        self.position = unsafe { sys::nh_cursor_position(cursor.0) };
        self.is_at_end = self.position == 0;
        Ok(())
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Result<Entry, Error>> {
        while self.entries.is_empty() && !self.is_at_end {
            if let Err(error) = self.step() {
                self.is_at_end = true;
                self.entries.clear();
                return Some(Err(error));
            }
        }
        self.entries.pop_front().map(Ok)
    }
}
