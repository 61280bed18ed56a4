//! Which caches this thread is inside a closure of, that looks at a value in place. Nothing of such a cache may be
//! changed meanwhile: no memory of it can be reused, so that a change might find no room for want of patience.

use nuthatch_sys::nh_store;
use std::cell::Cell;
use std::ptr;

/// One closure; those around it are behind `outer`. It lies on the stack of `looking`, longer than it is in the list.
struct Look {
    store: *const nh_store,
    outer: *const Look,
}

thread_local! {
    static INNERMOST: Cell<*const Look> = const { Cell::new(ptr::null()) };
}

/// Leaves the closure, also if it panics.
struct Leave(*const Look);

impl Drop for Leave {
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.set(self.0));
    }
}

/// Calls `closure` as one that looks at a value of `store`.
pub(crate) fn looking<R>(store: *const nh_store, closure: impl FnOnce() -> R) -> R {
    let look = Look { store, outer: INNERMOST.with(Cell::get) };
    let _leave = Leave(look.outer);
    INNERMOST.with(|innermost| innermost.set(&look));
    closure()
}

/// Whether this thread is inside such a closure of `store`.
pub(crate) fn is_looked_at(store: *const nh_store) -> bool {
    let mut look = INNERMOST.with(Cell::get);
    while !look.is_null() {
        // Safety: what is in the list is on the stack of a `looking` that has not returned.
        let current = unsafe { &*look };
        if ptr::eq(current.store, store) {
            return true;
        }
        look = current.outer;
    }
    false
}
