use crate::clock::Time;
use crate::dropped::Listener;
use crate::error::Error;
use crate::look::is_looked_at;
use crate::wait::Waiters;
use nuthatch_sys as sys;
use std::ptr::NonNull;
use std::sync::Arc;

/// A store of the library's with all that belongs to it; clones of a cache, values and leases share it.
pub(crate) struct Store {
    raw: NonNull<sys::nh_store>,
    time: Time,
    listener: Option<Arc<Listener>>,
    pub(crate) waiters: Waiters,
}

// Safety: any thread may call any function of the library but those that this crate calls first (nh_restore, before
// there is a `Store`) or last (nh_save and nh_destroy, with the only one there is). The rest of it is Send and Sync.
unsafe impl Send for Store {}
unsafe impl Sync for Store {}

impl Store {
    /// Takes a store that nobody else has, made with `listener`, which it calls.
    pub(crate) fn new(raw: NonNull<sys::nh_store>, time: Time, listener: Option<Arc<Listener>>) -> Self {
        Store { raw, time, listener, waiters: Waiters::new() }
    }

    pub(crate) fn raw(&self) -> *mut sys::nh_store {
        self.raw.as_ptr()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.time.now_ms()
    }

    /// Before anything that changes the store.
    pub(crate) fn may_change(&self) -> Result<(), Error> {
        if is_looked_at(self.raw()) {
            return Err(Error::LookedAt);
        }
        Ok(())
    }

    /// After a call of the library that may have dropped something.
    #[inline]
    pub(crate) fn tell_dropped(&self) {
        if let Some(listener) = &self.listener {
            if !is_looked_at(self.raw()) {
                listener.tell();
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Safety: values, leases and writers keep the store, so nothing is lent or being written, and nobody is inside a
        // call. A value that was forgotten is not looked at any more.
        unsafe { sys::nh_destroy(self.raw()) }
    }
}
