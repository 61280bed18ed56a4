use nuthatch_sys as sys;
use std::{fmt, io};

/// Why a call on a cache did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// There is no such key, or its time is over.
    Missing,
    /// [`Cache::add`](crate::Cache::add): the key is there already; [`Cache::annotate`](crate::Cache::annotate): it has
    /// a note.
    Exists,
    /// The key was written, removed or purged meanwhile, or the lease is over; a condition of
    /// [`Cache::touch_if`](crate::Cache::touch_if) does not hold.
    Changed,
    /// A [`Writer`](crate::Writer) is still at the value: there is no more of it yet, and it can be replaced, but not
    /// changed or copied.
    Growing,
    /// [`ValueRef::piece_at`](crate::ValueRef::piece_at): the writer gave up, and there is no more.
    Aborted,
    /// [`Cache::increment`](crate::Cache::increment): the value is no decimal number.
    NotANumber,
    /// A sum that does not fit into 64 bits; a size that a cache cannot have.
    OutOfRange,
    /// A key or a value is longer than the cache takes.
    TooLarge,
    /// No room could be made: too much of what is in the cache is lent.
    Full,
    /// The system gave no memory.
    NoMemory,
    /// An argument that cannot be: more than [`TAGS_MAX`](crate::TAGS_MAX) tags, a space beyond
    /// [`SPACES`](crate::SPACES), a path with a NUL.
    Invalid,
    /// A change was asked for inside the closure of [`Cache::get_with`](crate::Cache::get_with) or
    /// [`Cache::get_many_with`](crate::Cache::get_many_with) of the same cache: make it afterwards.
    LookedAt,
    /// [`Cache::save`](crate::Cache::save): a clone, a value, a lease or a writer of the cache is still in use.
    InUse,
    /// The system refused to read or write a file.
    Io {
        /// The system's number for it.
        errno: i32,
    },
    /// What is to be restored is no saved cache, or one of another version, or damaged.
    Corrupt,
    /// The libnuthatch that was found has another interface than the one this crate was made for.
    Incompatible,
}

impl Error {
    /// What a `nh_result` other than `NH_OK` means. At once after the call: the system's number is read.
    pub(crate) fn of(result: sys::nh_result) -> Error {
        match result {
            sys::NH_MISSING => Error::Missing,
            sys::NH_EXISTS => Error::Exists,
            sys::NH_CHANGED => Error::Changed,
            sys::NH_GROWING => Error::Growing,
            sys::NH_ABORTED => Error::Aborted,
            sys::NH_TYPE => Error::NotANumber,
            sys::NH_RANGE => Error::OutOfRange,
            sys::NH_TOO_LARGE => Error::TooLarge,
            sys::NH_FULL => Error::Full,
            sys::NH_NO_MEMORY => Error::NoMemory,
            sys::NH_IO => Error::Io { errno: io::Error::last_os_error().raw_os_error().unwrap_or(0) },
            sys::NH_CORRUPT => Error::Corrupt,
            _ => Error::Invalid,
        }
    }
}

/// `Ok` for `NH_OK`.
pub(crate) fn check(result: sys::nh_result) -> Result<(), Error> {
    if result == sys::NH_OK {
        Ok(())
    } else {
        Err(Error::of(result))
    }
}

/// Whether the key was there.
pub(crate) fn found(result: sys::nh_result) -> Result<bool, Error> {
    match result {
        sys::NH_OK => Ok(true),
        sys::NH_MISSING => Ok(false),
        other => Err(Error::of(other)),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Missing => "no such key",
            Error::Exists => "the key is there already",
            Error::Changed => "the key has changed meanwhile, the lease is over, or a condition does not hold",
            Error::Growing => "the value's writer is still at it",
            Error::Aborted => "the value's writer gave up",
            Error::NotANumber => "the value is not a decimal number",
            Error::OutOfRange => "out of range",
            Error::TooLarge => "the key or the value is too large",
            Error::Full => "no room could be made: too much is lent",
            Error::NoMemory => "the system gave no memory",
            Error::Invalid => "an argument that cannot be",
            Error::LookedAt => {
                "a cache cannot be changed while a value of it is looked at: return from the closure first"
            }
            Error::InUse => "a clone, a value, a lease or a writer of the cache is still in use",
            Error::Io { errno } => return io::Error::from_raw_os_error(*errno).fmt(f),
            Error::Corrupt => "not a saved cache of this version, or damaged",
            Error::Incompatible => {
                "the installed libnuthatch is of another version than this crate: install the same of both"
            }
        })
    }
}

impl std::error::Error for Error {}

/// For who writes by [`io::Write`] what a [`Writer`](crate::Writer) takes.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Io { errno } => io::Error::from_raw_os_error(errno),
            other => io::Error::new(io::ErrorKind::Other, other),
        }
    }
}
