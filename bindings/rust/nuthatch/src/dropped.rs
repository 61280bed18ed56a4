use nuthatch_sys as sys;
use std::cell::Cell;
use std::os::raw::c_void;
use std::panic::{self, AssertUnwindSafe};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Why a value left by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Its room was wanted.
    Evicted,
}

/// A key that has left the cache by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The key.
    pub key: Vec<u8>,
    /// The space that it was in: [`Cache::space`](crate::Cache::space).
    pub space: u32,
    /// Why.
    pub cause: Cause,
}

/// Tells a function of the program's. The library tells of keys while it holds locks: they are copied then, and the
/// function is called when the call that dropped them is done, so that it may use the cache.
pub(crate) struct Listener {
    function: Box<dyn Fn(&Dropped) + Send + Sync>,
    is_pending: AtomicBool,
    pending: Mutex<Vec<Dropped>>,
}

thread_local! {
    /// What the function itself drops is told after it has returned; what it drops of another cache, by the next call
    /// of that one.
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Ends the telling, however that ends.
struct Telling;

impl Drop for Telling {
    fn drop(&mut self) {
        IS_TELLING.with(|is_telling| is_telling.set(false));
    }
}

/// Calls something of the program's whose panic goes no further.
fn alone(call: impl FnOnce()) {
    let mut result = panic::catch_unwind(AssertUnwindSafe(call));
    for _ in 0..8 {
        match result {
            Ok(()) => return,
            // What it panicked with may panic itself when it is dropped.
            Err(payload) => result = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))),
        }
    }
    std::mem::forget(result); // for ever, perhaps
}

impl Listener {
    pub(crate) fn new(function: Box<dyn Fn(&Dropped) + Send + Sync>) -> Self {
        Listener { function, is_pending: AtomicBool::new(false), pending: Mutex::new(Vec::new()) }
    }

    fn note(&self, dropped: Dropped) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(dropped);
        self.is_pending.store(true, Ordering::Release);
    }

    /// Tells of what has been dropped. Outside of any call of the library.
    pub(crate) fn tell(&self) {
        if !self.is_pending.load(Ordering::Acquire) || IS_TELLING.with(Cell::get) {
            return;
        }
        IS_TELLING.with(|is_telling| is_telling.set(true));
        let _telling = Telling;
        while self.is_pending.swap(false, Ordering::AcqRel) {
            let all = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            for dropped in &all {
                // Whoever made the call that is just done has nothing to do with what goes wrong here; the hook
                // for panics has told of it.
                alone(|| (self.function)(dropped));
            }
        }
    }
}

/// What the library calls. `context` is a `Listener`.
pub(crate) unsafe extern "C" fn dropped(context: *mut c_void, key: sys::nh_key, cause: i32) {
    // Nothing here panics but for want of memory, which ends the process.
    // Safety: the store that calls keeps its listener.
    let listener = unsafe { &*(context as *const Listener) };
    let bytes: &[u8] = if key.size == 0 {
        &[]
    } else {
        // Safety: the key is good during the call.
        unsafe { slice::from_raw_parts(key.data.cast(), key.size) }
    };
    listener.note(Dropped {
        key: bytes.to_vec(),
        space: key.space,
        cause: if cause == sys::NH_DROPPED_EXPIRED { Cause::Expired } else { Cause::Evicted },
    });
}
