use crate::clock::{ms_of, ttl_ms_of};
use crate::error::Error;
use nuthatch_sys as sys;
use std::os::raw::c_void;
use std::ptr;
use std::time::Duration;

/// How a value is put into a cache. What is not said is none.
///
/// ```
/// # use nuthatch::InsertOptions;
/// # use std::time::Duration;
/// let page = InsertOptions::new().ttl(Duration::from_secs(3600)).tag("user:7").tag("pages");
/// ```
#[derive(Clone, Debug, Default)]
pub struct InsertOptions<'a> {
    pub(crate) ttl: Option<Duration>,
    soft_ttl: Option<Duration>,
    pub(crate) flags: u32,
    keep_ttl: bool,
    tags: Vec<&'a [u8]>,
    cost: Duration,
    note: u32,
    pub(crate) negative: bool,
    as_of_purge: u64,
}

impl<'a> InsertOptions<'a> {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the value is there. Of a duration of zero nothing remains.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long the value is fresh: after that it is stale, though still served.
    pub fn soft_ttl(mut self, soft_ttl: Duration) -> Self {
        self.soft_ttl = Some(soft_ttl);
        self
    }

    /// A number that is kept with the value: [`ValueRef::flags`](crate::ValueRef::flags).
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// A key that is there already keeps its time to live, and its soft one.
    pub fn keep_ttl(mut self) -> Self {
        self.keep_ttl = true;
        self
    }

    /// Adds a tag: [`Cache::purge_tag`](crate::Cache::purge_tag) drops all that carries it.
    pub fn tag<T: AsRef<[u8]> + ?Sized>(mut self, tag: &'a T) -> Self {
        self.tags.push(tag.as_ref());
        self
    }

    /// What it took to compute the value; the costlier, the earlier it is refreshed:
    /// [`LoadOptions::early_percent`](crate::LoadOptions::early_percent).
    pub fn cost(mut self, cost: Duration) -> Self {
        self.cost = cost;
        self
    }

    /// 32 bits beside the value, which whoever has it may change where they are:
    /// [`ValueRef::note`](crate::ValueRef::note). 0 is none.
    pub fn note(mut self, note: u32) -> Self {
        self.note = note;
        self
    }

    /// What [`Cache::purge_number`](crate::Cache::purge_number) said before the value's making began: if one of its
    /// tags was purged since, the value is refused with [`Error::Changed`](crate::Error::Changed).
    pub fn as_of_purge(mut self, purge_number: u64) -> Self {
        self.as_of_purge = purge_number;
        self
    }

    /// What a load has cost, unless the program knows better.
    pub(crate) fn set_cost_if_none(&mut self, cost: Duration) {
        if self.cost == Duration::ZERO {
            self.cost = cost;
        }
    }

    /// Whether a put would take them.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.tags.len() > sys::NH_TAGS_MAX as usize {
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Calls `put` with what C wants.
    pub(crate) fn with_raw<R>(&self, put: impl FnOnce(*const sys::nh_put_options) -> R) -> R {
        const FEW: usize = 8;
        let raw = |tag: &&[u8]| sys::nh_bytes { data: tag.as_ptr() as *const c_void, size: tag.len() };
        let mut few = [sys::nh_bytes { data: ptr::null(), size: 0 }; FEW];
        let many: Vec<sys::nh_bytes>;
        let tags = if self.tags.len() <= FEW {
            for (to, from) in few.iter_mut().zip(&self.tags) {
                *to = raw(from);
            }
            few.as_ptr()
        } else {
            many = self.tags.iter().map(raw).collect();
            many.as_ptr()
        };
        put(&sys::nh_put_options {
            size: std::mem::size_of::<sys::nh_put_options>(),
            ttl_ms: ttl_ms_of(self.ttl),
            soft_ttl_ms: ttl_ms_of(self.soft_ttl),
            flags: self.flags,
            keep_ttl: self.keep_ttl.into(),
            tags,
            tag_count: self.tags.len(),
            cost_ms: u32::try_from(ms_of(self.cost)).unwrap_or(u32::MAX),
            negative: self.negative.into(),
            note: self.note,
            reserved: 0,
            version: 0,
            as_of_purge: self.as_of_purge,
        })
    }
}
