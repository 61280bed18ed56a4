//! A cache inside your process: a concurrent map from byte keys to byte values that never takes more memory than it
//! was given, and knows expiry, staleness, tags, leases and warm restarts. It is libnuthatch in Rust's manner.
//!
//! ```
//! use nuthatch::{Cache, InsertOptions};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), nuthatch::Error> {
//! let cache = Cache::builder().memory(64 << 20).build()?;
//!
//! cache.insert_with("/users/7", r#"{"name":"Ada"}"#, &InsertOptions::new()
//!     .ttl(Duration::from_secs(3600))
//!     .soft_ttl(Duration::from_secs(60))
//!     .tag("user:7"))?;
//! let user = cache.get("/users/7").expect("it was just put there");
//! assert_eq!(&user[..], br#"{"name":"Ada"}"#);
//!
//! cache.purge_tag("user:7")?;
//! assert!(cache.get("/users/7").is_none());
//! # Ok(())
//! # }
//! ```
//!
//! **Threads.** A [`Cache`] may be cloned and shared; all clones are one cache, and any thread may call anything.
//! Reading takes no lock.
//!
//! **Memory** is one mapping of the size that the builder was told, index included. It fills as it is used; when it is
//! full, what is least worth keeping leaves.
//!
//! **Values** that [`Cache::get`] gives are not copied: the bytes lie in the cache, unchanged, until the [`ValueRef`] is
//! dropped, whatever happens to the key. [`Cache::get_with`] is faster still, for what is looked at in a moment.
//!
//! **Loading.** [`Cache::get_or_try_insert_with`] asks the slow thing behind the cache once, however many threads want
//! the same key.
//!
//! Times are of the [`Clock`] that the builder was given, in whole milliseconds; a test can let an hour pass with
//! [`ManualClock`].

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

mod builder;
mod cache;
mod change;
mod clock;
mod dropped;
mod error;
mod insight;
mod lease;
mod load;
mod look;
mod options;
mod store;
mod value;
mod wait;
mod walk;
mod write;
mod writer;

pub use builder::Builder;
pub use cache::Cache;
pub use change::TouchIf;
pub use clock::{Clock, ManualClock};
pub use dropped::{Cause, Dropped};
pub use error::Error;
pub use insight::{CurvePoint, HotKey, Stats};
pub use lease::{Fetched, Lease};
pub use load::{LoadError, LoadOptions};
pub use options::InsertOptions;
pub use value::{Pieces, ValueRef, Version};
pub use walk::{Entry, Iter};
pub use writer::Writer;

/// The guide, whose programs are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/rust.md")]
pub struct Guide;

/// How long keys may be; in a small cache less: [`Stats::key_bytes_max`].
pub const KEY_BYTES_MAX: usize = nuthatch_sys::NH_KEY_BYTES_MAX as usize;
/// How many tags a value may carry.
pub const TAGS_MAX: usize = nuthatch_sys::NH_TAGS_MAX as usize;
/// How many spaces a cache has: [`Cache::space`].
pub const SPACES: u32 = nuthatch_sys::NH_SPACES;
