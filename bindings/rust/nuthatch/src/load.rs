use crate::cache::Cache;
use crate::clock::ms_of;
use crate::error::Error;
use crate::lease::{Fetched, Lease};
use crate::options::InsertOptions;
use crate::value::ValueRef;
use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, Instant};

/// How a value is loaded: [`Cache::get_or_try_insert_with`]. [`InsertOptions`] alone will do where one is wanted.
#[derive(Clone, Debug)]
pub struct LoadOptions<'a> {
    insert: InsertOptions<'a>,
    lease: Duration,
    wait: Duration,
    early_percent: u32,
    negative_ttl: Option<Duration>,
    is_stale_given_on_error: bool,
}

impl<'a> LoadOptions<'a> {
    /// Values are put as `insert` says.
    pub fn new(insert: InsertOptions<'a>) -> Self {
        LoadOptions {
            insert,
            lease: Duration::from_secs(10),
            wait: Duration::from_secs(30),
            early_percent: 0,
            negative_ttl: None,
            is_stale_given_on_error: false,
        }
    }

    /// How long one caller may load before another tries; 10 s if this is not called.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long to wait for another caller's load; 30 s if this is not called.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Lets one caller load anew before the value's (soft) time is over, the likelier the nearer that is and the longer
    /// the last load took: XFetch's beta in percent, of which 100 is the usual. None without this.
    pub fn early_percent(mut self, percent: u32) -> Self {
        self.early_percent = percent;
        self
    }

    /// Remembers a failed load for so long: callers are told [`LoadError::KnownToFail`] meanwhile. Without this a
    /// failure is not remembered, and the next caller loads.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// If a load fails and there is a stale value, gives that.
    pub fn stale_on_error(mut self) -> Self {
        self.is_stale_given_on_error = true;
        self
    }
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        LoadOptions::new(InsertOptions::new())
    }
}

impl<'a> From<InsertOptions<'a>> for LoadOptions<'a> {
    fn from(insert: InsertOptions<'a>) -> Self {
        LoadOptions::new(insert)
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// What the loader said.
    Failed(E),
    /// A load has failed a while ago: [`LoadOptions::negative_ttl`].
    KnownToFail,
    /// Somebody else has been loading for longer than [`LoadOptions::wait`].
    TimedOut,
    /// The key is none, there are too many tags, or the cache is looked at.
    Cache(Error),
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Failed(error) => error.fmt(f),
            LoadError::KnownToFail => f.write_str("it has failed a while ago"),
            LoadError::TimedOut => f.write_str("somebody else is loading it, and takes too long"),
            LoadError::Cache(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Failed(error) => error.source(),
            LoadError::Cache(error) => Some(error),
            _ => None,
        }
    }
}

impl Cache {
    /// The value of a key; where there is none, what `load` returns, which is put. However many callers want a key at
    /// once, one loads; the others wait for it, or are given what is stale at once. If the load fails or panics, its
    /// caller is told, and one of those who wait loads next.
    ///
    /// What goes wrong with the cache is no reason to fail: a value for which there is no room, or whose key was
    /// written or purged meanwhile, is given and not kept.
    ///
    /// `load` must not load the same key: it would wait for itself, until the time for that is over.
    ///
    /// ```
    /// # use nuthatch::{Cache, InsertOptions, LoadError};
    /// # use std::time::Duration;
    /// # let cache = Cache::new(1 << 20)?;
    /// let a_minute = InsertOptions::new().ttl(Duration::from_secs(60));
    /// let page = cache.get_or_try_insert_with("/birds", a_minute, || {
    ///     Ok::<_, std::io::Error>(b"what a slow database says".to_vec())
    /// }).unwrap();
    /// assert_eq!(&page[..], b"what a slow database says");
    /// # Ok::<(), nuthatch::Error>(())
    /// ```
    pub fn get_or_try_insert_with<'o, E>(
        &self,
        key: impl AsRef<[u8]>,
        options: impl Into<LoadOptions<'o>>,
        load: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<ValueRef<'_>, LoadError<E>> {
        let key = key.as_ref();
        let options = options.into();
        match self.wait_for(key, &options) {
            Ok(Fetched::Hit(value)) | Ok(Fetched::Stale(value)) => Ok(value),
            Ok(Fetched::Negative) => Err(LoadError::KnownToFail),
            Ok(Fetched::Early(value, lease)) => self.load_or(Some(value), &lease, options, load),
            Ok(Fetched::Renew(value, lease)) => {
                let value = options.is_stale_given_on_error.then(|| value);
                self.load_or(value, &lease, options, load)
            }
            Ok(Fetched::Miss(lease)) => self.load_or(None, &lease, options, load),
            Ok(Fetched::Wait) => Err(LoadError::TimedOut),
            Err(Error::Full) | Err(Error::NoMemory) => self.load(None, options, load).map_err(LoadError::Failed),
            Err(error) => Err(LoadError::Cache(error)),
        }
    }

    /// [`Cache::get_or_try_insert_with`] for a load that cannot fail.
    pub fn get_or_insert_with<'o>(
        &self,
        key: impl AsRef<[u8]>,
        options: impl Into<LoadOptions<'o>>,
        load: impl FnOnce() -> Vec<u8>,
    ) -> Result<ValueRef<'_>, LoadError<Infallible>> {
        self.get_or_try_insert_with(key, options, || Ok(load()))
    }

    /// What there is, or a lease; `Wait` if somebody else is at it for too long.
    fn wait_for(&self, key: &[u8], options: &LoadOptions<'_>) -> Result<Fetched<'_>, Error> {
        self.store.may_change()?;
        options.insert.check()?; // or nothing would ever be kept, and nobody told
        let fetch = || self.fetch_early(key, options.lease, options.early_percent);
        match fetch()? {
            Fetched::Wait => (),
            fetched => return Ok(fetched),
        }
        let began = Instant::now();
        let mut waiting = self.store.waiters.come(self.space, key);
        loop {
            match fetch()? {
                Fetched::Wait => (),
                fetched => return Ok(fetched),
            }
            match options.wait.checked_sub(began.elapsed()) {
                Some(left) if left > Duration::ZERO => waiting.wait(left),
                _ => return Ok(Fetched::Wait),
            }
        }
    }

    /// What is loaded, or if that fails, what there is, if there is something.
    fn load_or<'a, E>(
        &'a self,
        value: Option<ValueRef<'a>>,
        lease: &Lease,
        options: LoadOptions<'_>,
        load: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<ValueRef<'a>, LoadError<E>> {
        match (self.load(Some(lease), options, load), value) {
            (Ok(loaded), _) => Ok(loaded),
            (Err(error), None) => Err(LoadError::Failed(error)),
            (Err(error), Some(value)) => {
                drop(error); // which may panic: then the value is still ours to release
                Ok(value)
            }
        }
    }

    fn load<E>(
        &self,
        lease: Option<&Lease>,
        mut options: LoadOptions<'_>,
        load: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<ValueRef<'_>, E> {
        let began = Instant::now();
        match (load(), lease) {
            (Ok(bytes), None) => Ok(self.loaded(bytes, 0, &options.insert)),
            (Ok(bytes), Some(lease)) => {
                options.insert.set_cost_if_none(began.elapsed());
                let version = lease.fill(&bytes, &options.insert).map_or(0, |version| version.to_u64());
                Ok(self.loaded(bytes, version, &options.insert))
            }
            (Err(error), lease) => {
                if let (Some(ttl), Some(lease)) = (options.negative_ttl, lease) {
                    // If there is no room even for that, the next caller loads.
                    let _ = lease.fill_negative(ttl);
                }
                Err(error)
            }
        }
    }

    /// What was loaded, as if it had been read.
    fn loaded(&self, bytes: Vec<u8>, version: u64, insert: &InsertOptions<'_>) -> ValueRef<'_> {
        let expires_at_ms = insert.ttl.map_or(0, |ttl| self.store.now_ms().saturating_add(ms_of(ttl)));
        ValueRef::owned(&self.store, bytes, version, expires_at_ms, insert.flags)
    }
}
