//! Threads that wait until somebody else has computed a value.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const STRIPES: usize = 64;
/// A write by somebody who has no lease may miss somebody who has just come to wait, who then looks again by himself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What keys of one hash wait at. A number that changes when something has come of one of them.
#[derive(Default)]
struct Stripe {
    number: Mutex<u64>,
    changed: Condvar,
}

pub(crate) struct Waiters {
    count: AtomicUsize,
    stripes: Vec<Stripe>,
}

/// A thread that has come to wait, but may find that it need not. What is new since it came is not missed.
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    stripe: &'a Stripe,
    number: u64,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Waiters { count: AtomicUsize::new(0), stripes: (0..STRIPES).map(|_| Stripe::default()).collect() }
    }

    fn stripe(&self, space: u32, key: &[u8]) -> &Stripe {
        let mut hasher = DefaultHasher::new();
        (space, key).hash(&mut hasher);
        &self.stripes[hasher.finish() as usize % STRIPES]
    }

    pub(crate) fn come(&self, space: u32, key: &[u8]) -> Waiting<'_> {
        let stripe = self.stripe(space, key);
        self.count.fetch_add(1, Ordering::SeqCst);
        let number = *stripe.number.lock().unwrap_or_else(PoisonError::into_inner);
        Waiting { waiters: self, stripe, number }
    }

    fn wake_stripe(stripe: &Stripe) {
        let mut number = stripe.number.lock().unwrap_or_else(PoisonError::into_inner);
        *number = number.wrapping_add(1);
        stripe.changed.notify_all();
    }

    /// A lease of the key has ended.
    pub(crate) fn wake(&self, space: u32, key: &[u8]) {
        Self::wake_stripe(self.stripe(space, key));
    }

    /// The key was changed by somebody without a lease.
    pub(crate) fn wake_if_any(&self, space: u32, key: &[u8]) {
        if self.count.load(Ordering::SeqCst) > 0 {
            self.wake(space, key);
        }
    }

    /// Many keys were changed.
    pub(crate) fn wake_all(&self) {
        if self.count.load(Ordering::SeqCst) > 0 {
            self.stripes.iter().for_each(Self::wake_stripe);
        }
    }
}

impl Waiting<'_> {
    /// Waits until something has come of the key, or for a moment, `at_most` long.
    pub(crate) fn wait(&mut self, at_most: Duration) {
        let number = self.stripe.number.lock().unwrap_or_else(PoisonError::into_inner);
        if *number == self.number {
            let (number, _) = self
                .stripe
                .changed
                .wait_timeout(number, at_most.min(LOOK_AGAIN))
                .unwrap_or_else(PoisonError::into_inner);
            self.number = *number;
        } else {
            self.number = *number;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}
