use crate::cache::Cache;
use crate::error::{check, Error};
use nuthatch_sys as sys;
use std::mem::MaybeUninit;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// What a cache has done and what it holds, a moment ago, in all its spaces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            fn of(raw: &sys::nh_stats) -> Stats {
                Stats { $($name: raw.$name,)* }
            }
        }
    };
}

stats! {
    /// Values in the cache, those included that are over and not freed yet.
    items
    /// Bytes of keys and values, with what is kept of each.
    item_bytes
    /// Bytes in use.
    memory_bytes
    /// The limit.
    memory_bytes_max
    /// Reads that found a value.
    hits
    /// Reads that found none.
    misses
    /// Writes that took effect.
    puts
    /// Removals that took effect.
    deletes
    /// Values freed because their time was over.
    expired
    /// Values freed to make room.
    evicted
    /// Values freed because of a tag.
    purged
    /// Writes refused for want of room, or for their size.
    rejected
    /// Hits that were stale.
    stale_served
    /// Leases given.
    leases
    /// Answers that somebody else is computing the value.
    lease_waits
    /// Fills that came too late.
    fills_refused
    /// Bytes that cannot be reused because of what is lent.
    pinned_bytes
    /// Bytes allocated for borrowers beyond the bound of what may be pinned.
    borrowed_copied_bytes
    /// Values copied within the cache to survive.
    moved
    /// Bytes of the index.
    index_bytes
    /// The size of what memory is given out in; a value that does not fit into it lies in pieces.
    segment_bytes
    /// How long keys may be in this cache.
    key_bytes_max
}

/// A point of [`Cache::miss_ratio_curve`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CurvePoint {
    /// With so much memory …
    pub memory_bytes: u64,
    /// … this part of the reads would miss, from 0 to 1.
    pub miss_ratio: f64,
}

/// A key that is read much: [`Cache::hot_keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HotKey {
    /// The space that it is in.
    pub space: u32,
    /// The key, or its first 250 bytes.
    pub key: Vec<u8>,
    /// How long the whole key is.
    pub key_bytes: u32,
    /// About how often it was read in the last minutes.
    pub reads: u64,
    /// By how much `reads` may be too high.
    pub reads_over: u64,
}

impl Cache {
    /// What the cache has done and what it holds.
    pub fn stats(&self) -> Stats {
        let mut raw = MaybeUninit::<sys::nh_stats>::zeroed();
        // Safety: zeros are good for all of its fields; the library writes as much as `size` says.
        unsafe {
            (*raw.as_mut_ptr()).size = std::mem::size_of::<sys::nh_stats>();
            sys::nh_stats_read(self.store.raw(), raw.as_mut_ptr());
            Stats::of(&raw.assume_init())
        }
    }

    /// What part of the reads of this space would miss with less memory or more, up to four times as much; by rising
    /// memory. [`Error::Missing`] if the builder was not told to keep it.
    pub fn miss_ratio_curve(&self) -> Result<Vec<CurvePoint>, Error> {
        const POINTS_MAX: usize = 256;
        let mut raw = vec![sys::nh_curve_point { memory_bytes: 0, miss_ratio: 0.0 }; POINTS_MAX];
        let mut count = raw.len();
        // Safety: there is room for so many.
        check(unsafe { sys::nh_curve_read(self.store.raw(), self.space, raw.as_mut_ptr(), &mut count) })?;
        let point =
            |raw: &sys::nh_curve_point| CurvePoint { memory_bytes: raw.memory_bytes, miss_ratio: raw.miss_ratio };
        Ok(raw[..count].iter().map(point).collect())
    }

    /// The keys that are read most, in all spaces, at most so many, most read first. [`Error::Missing`] if the builder
    /// was not told to keep them.
    pub fn hot_keys(&self, count_max: usize) -> Result<Vec<HotKey>, Error> {
        const KEYS_MAX: usize = 1024; // more than the library keeps
        let empty = sys::nh_hot_key { space: 0, key_bytes: 0, reads: 0, reads_over: 0, key: [0; 250] };
        let mut raw = vec![empty; count_max.min(KEYS_MAX)];
        let mut count = raw.len();
        // Safety: there is room for so many.
        check(unsafe { sys::nh_hot_keys_read(self.store.raw(), raw.as_mut_ptr(), &mut count) })?;
        let key = |raw: &sys::nh_hot_key| HotKey {
            space: raw.space,
            key: raw.key[..raw.key.len().min(raw.key_bytes as usize)].to_vec(),
            key_bytes: raw.key_bytes,
            reads: raw.reads,
            reads_over: raw.reads_over,
        };
        Ok(raw[..count].iter().map(key).collect())
    }
}
