//! libnuthatch as `nuthatch.h` has it: the same names, types and order. What each function does, owns and may
//! return is said there and not again here; the crate `nuthatch` is the safe way to it.
//!
//! `tests/header.rs` holds this file against the header: every function, struct, field and constant.

#![allow(non_camel_case_types)]

use std::marker::{PhantomData, PhantomPinned};
use std::os::raw::{c_char, c_void};

/// What `nh_abi_version` has to say for this crate to be of any use.
pub const NH_ABI_VERSION: u32 = 4;

pub const NH_KEY_BYTES_MAX: u32 = 65535;
pub const NH_TAGS_MAX: u32 = 128;
pub const NH_SPACES: u32 = 1024;
pub const NH_INSIGHT_SPACES_MAX: u32 = 8;
pub const NH_SPACES_LIMITED_MAX: u32 = 7;

macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub struct $name {
            _data: [u8; 0],
            _marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}
opaque!(nh_store nh_cursor nh_writer);

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_bytes {
    pub data: *const c_void,
    pub size: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_key {
    pub data: *const c_void,
    pub size: usize,
    pub space: u32,
}

pub type nh_result = i32;
pub const NH_OK: nh_result = 0;
pub const NH_MISSING: nh_result = 1;
pub const NH_EXISTS: nh_result = 2;
pub const NH_CHANGED: nh_result = 3;
pub const NH_TYPE: nh_result = 4;
pub const NH_RANGE: nh_result = 5;
pub const NH_TOO_LARGE: nh_result = 6;
pub const NH_FULL: nh_result = 7;
pub const NH_NO_MEMORY: nh_result = 8;
pub const NH_INVALID: nh_result = 9;
pub const NH_GROWING: nh_result = 10;
pub const NH_ABORTED: nh_result = 11;
pub const NH_IO: nh_result = 12;
pub const NH_CORRUPT: nh_result = 13;

pub const NH_DROPPED_EXPIRED: i32 = 1;
pub const NH_DROPPED_EVICTED: i32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_options {
    pub size: usize,
    pub memory_bytes: u64,
    pub value_bytes_max: u64,
    pub hash_seed: u64,
    pub insight_spaces: u32,
    pub huge_pages: u32,
    pub dropped: Option<unsafe extern "C" fn(context: *mut c_void, key: nh_key, cause: i32)>,
    pub dropped_context: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_value {
    pub bytes: nh_bytes,
    pub size: u64,
    pub version: u64,
    pub expires_at_ms: i64,
    pub stale_at_ms: i64,
    pub flags: u32,
    pub traits: u32,
    pub note: *mut u32,
    pub pin: *mut c_void,
    pub pin_place: u64,
}
pub const NH_VALUE_STALE: u32 = 1;
pub const NH_VALUE_GROWING: u32 = 2;
pub const NH_VALUE_NEGATIVE: u32 = 4;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_get_request {
    pub key: nh_key,
    pub buffer: *mut c_void,
    pub capacity: usize,
    pub value_bytes: usize,
    pub result: nh_result,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_fetch_options {
    pub size: usize,
    pub lease_ms: i64,
    pub early_percent: u32,
    pub reserved: u32,
}

pub type nh_fetch_state = i32;
pub const NH_FETCH_HIT: nh_fetch_state = 0;
pub const NH_FETCH_HIT_LEASE: nh_fetch_state = 1;
pub const NH_FETCH_STALE: nh_fetch_state = 2;
pub const NH_FETCH_STALE_LEASE: nh_fetch_state = 3;
pub const NH_FETCH_MISS_WAIT: nh_fetch_state = 4;
pub const NH_FETCH_MISS_LEASE: nh_fetch_state = 5;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_put_options {
    pub size: usize,
    pub ttl_ms: i64,
    pub soft_ttl_ms: i64,
    pub flags: u32,
    pub keep_ttl: u32,
    pub tags: *const nh_bytes,
    pub tag_count: usize,
    pub cost_ms: u32,
    pub negative: u32,
    pub note: u32,
    pub reserved: u32,
    pub version: u64,
    pub as_of_purge: u64,
}

pub const NH_TOUCH_IF_NEVER: u32 = 1;
pub const NH_TOUCH_IF_SOME: u32 = 2;
pub const NH_TOUCH_IF_LATER: u32 = 4;
pub const NH_TOUCH_IF_EARLIER: u32 = 8;

pub const NH_INCREMENT_SIGNED: i32 = 0;
pub const NH_INCREMENT_UNSIGNED: i32 = 1;
pub const NH_DECREMENT_UNSIGNED: i32 = 2;

pub const NH_PURGE_DROP: i32 = 0;
pub const NH_PURGE_SOFT: i32 = 1;

pub const NH_SPACE_ALL: u32 = u32::MAX;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_stats {
    pub size: usize,
    pub items: u64,
    pub item_bytes: u64,
    pub memory_bytes: u64,
    pub memory_bytes_max: u64,
    pub hits: u64,
    pub misses: u64,
    pub puts: u64,
    pub deletes: u64,
    pub expired: u64,
    pub evicted: u64,
    pub purged: u64,
    pub rejected: u64,
    pub stale_served: u64,
    pub leases: u64,
    pub lease_waits: u64,
    pub fills_refused: u64,
    pub pinned_bytes: u64,
    pub borrowed_copied_bytes: u64,
    pub moved: u64,
    pub index_bytes: u64,
    pub segment_bytes: u64,
    pub key_bytes_max: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_curve_point {
    pub memory_bytes: u64,
    pub miss_ratio: f64,
}

pub const NH_HOT_KEY_BYTES_MAX: u32 = 250;
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nh_hot_key {
    pub space: u32,
    pub key_bytes: u32,
    pub reads: u64,
    pub reads_over: u64,
    pub key: [u8; NH_HOT_KEY_BYTES_MAX as usize],
}

#[rustfmt::skip]
extern "C" {
    pub fn nh_result_text(result: nh_result) -> *const c_char;
    pub fn nh_version() -> *const c_char;
    pub fn nh_abi_version() -> u32;

    pub fn nh_create(options: *const nh_options, store: *mut *mut nh_store) -> nh_result;
    pub fn nh_destroy(store: *mut nh_store);

    pub fn nh_borrow(store: *mut nh_store, now_ms: i64, key: nh_key, value: *mut nh_value) -> nh_result;
    pub fn nh_peek(store: *mut nh_store, now_ms: i64, key: nh_key, value: *mut nh_value) -> nh_result;
    pub fn nh_borrow_unnoticed(store: *mut nh_store, now_ms: i64, key: nh_key, value: *mut nh_value) -> nh_result;
    pub fn nh_peek_unnoticed(store: *mut nh_store, now_ms: i64, key: nh_key, value: *mut nh_value) -> nh_result;
    pub fn nh_release(store: *mut nh_store, value: *mut nh_value);
    pub fn nh_value_piece(store: *mut nh_store, value: *const nh_value, offset: u64, piece: *mut nh_bytes) -> nh_result;
    pub fn nh_get(store: *mut nh_store, now_ms: i64, key: nh_key, buffer: *mut c_void, capacity: usize, size: *mut usize) -> nh_result;
    pub fn nh_get_many(store: *mut nh_store, now_ms: i64, requests: *mut nh_get_request, count: usize) -> nh_result;
    pub fn nh_prefetch(store: *mut nh_store, keys: *const nh_key, count: usize);
    pub fn nh_get_and_touch(store: *mut nh_store, now_ms: i64, key: nh_key, ttl_ms: i64, value: *mut nh_value) -> nh_result;
    pub fn nh_fetch(store: *mut nh_store, now_ms: i64, key: nh_key, options: *const nh_fetch_options, state: *mut nh_fetch_state, lease: *mut u64, value: *mut nh_value) -> nh_result;

    pub fn nh_put(store: *mut nh_store, now_ms: i64, key: nh_key, value: nh_bytes, options: *const nh_put_options, version: *mut u64) -> nh_result;
    pub fn nh_add(store: *mut nh_store, now_ms: i64, key: nh_key, value: nh_bytes, options: *const nh_put_options, version: *mut u64) -> nh_result;
    pub fn nh_replace(store: *mut nh_store, now_ms: i64, key: nh_key, value: nh_bytes, options: *const nh_put_options, version: *mut u64) -> nh_result;
    pub fn nh_cas(store: *mut nh_store, now_ms: i64, key: nh_key, value: nh_bytes, options: *const nh_put_options, expected_version: u64, version: *mut u64) -> nh_result;
    pub fn nh_cas_value(store: *mut nh_store, now_ms: i64, key: nh_key, value: nh_bytes, expected_version: u64, version: *mut u64) -> nh_result;
    pub fn nh_copy(store: *mut nh_store, now_ms: i64, from: nh_key, to: nh_key, version: *mut u64) -> nh_result;
    pub fn nh_exchange(store: *mut nh_store, now_ms: i64, key: nh_key, value: nh_bytes, options: *const nh_put_options, before: *mut nh_value, had_before: *mut i32) -> nh_result;
    pub fn nh_fill(store: *mut nh_store, now_ms: i64, key: nh_key, lease: u64, value: nh_bytes, options: *const nh_put_options, version: *mut u64) -> nh_result;
    pub fn nh_give_up(store: *mut nh_store, key: nh_key, lease: u64) -> nh_result;
    pub fn nh_end_leases(store: *mut nh_store);
    pub fn nh_append(store: *mut nh_store, now_ms: i64, key: nh_key, more: nh_bytes, version: *mut u64) -> nh_result;
    pub fn nh_prepend(store: *mut nh_store, now_ms: i64, key: nh_key, more: nh_bytes, version: *mut u64) -> nh_result;
    pub fn nh_delete(store: *mut nh_store, now_ms: i64, key: nh_key) -> nh_result;
    pub fn nh_touch(store: *mut nh_store, now_ms: i64, key: nh_key, ttl_ms: i64) -> nh_result;
    pub fn nh_make_stale(store: *mut nh_store, now_ms: i64, key: nh_key) -> nh_result;
    pub fn nh_annotate(store: *mut nh_store, now_ms: i64, key: nh_key, note: u32) -> nh_result;
    pub fn nh_touch_if(store: *mut nh_store, now_ms: i64, key: nh_key, ttl_ms: i64, conditions: u32) -> nh_result;
    pub fn nh_increment(store: *mut nh_store, now_ms: i64, key: nh_key, delta: i64, mode: i32, sum: *mut i64) -> nh_result;
    pub fn nh_purge_tag(store: *mut nh_store, tag: nh_bytes, how: i32) -> nh_result;
    pub fn nh_purge_number(store: *mut nh_store) -> u64;
    pub fn nh_check_tags(store: *mut nh_store, tags: *const nh_bytes, count: usize, purge_number: u64) -> nh_result;
    pub fn nh_clear(store: *mut nh_store, space: u32);
    pub fn nh_space_bound(store: *mut nh_store, space: u32, bytes_min: u64, bytes_max: u64) -> nh_result;

    pub fn nh_writer_create(store: *mut nh_store, now_ms: i64, key: nh_key, options: *const nh_put_options, writer: *mut *mut nh_writer) -> nh_result;
    pub fn nh_writer_append(writer: *mut nh_writer, now_ms: i64, bytes: nh_bytes) -> nh_result;
    pub fn nh_writer_publish(writer: *mut nh_writer, now_ms: i64) -> nh_result;
    pub fn nh_writer_commit(writer: *mut nh_writer, now_ms: i64, version: *mut u64) -> nh_result;
    pub fn nh_writer_abort(writer: *mut nh_writer);

    pub fn nh_sweep(store: *mut nh_store, now_ms: i64, budget_count: usize) -> usize;
    pub fn nh_cursor_create(store: *mut nh_store, position: u64, cursor: *mut *mut nh_cursor) -> nh_result;
    pub fn nh_cursor_next(cursor: *mut nh_cursor, now_ms: i64, key: *mut nh_key, value: *mut nh_value) -> nh_result;
    pub fn nh_cursor_position(cursor: *const nh_cursor) -> u64;
    pub fn nh_cursor_narrow(cursor: *mut nh_cursor, space: u32, end: u64);
    pub fn nh_cursor_destroy(cursor: *mut nh_cursor);

    pub fn nh_stats_read(store: *mut nh_store, stats: *mut nh_stats) -> nh_result;
    pub fn nh_count(store: *mut nh_store, space: u32) -> u64;
    pub fn nh_curve_read(store: *mut nh_store, space: u32, points: *mut nh_curve_point, count: *mut usize) -> nh_result;
    pub fn nh_hot_keys_read(store: *mut nh_store, keys: *mut nh_hot_key, count: *mut usize) -> nh_result;

    pub fn nh_save(store: *mut nh_store, path: *const c_char, now_ms: i64, wall_ms: i64) -> nh_result;
    pub fn nh_restore(store: *mut nh_store, path: *const c_char, now_ms: i64, wall_ms: i64, count: *mut u64) -> nh_result;
}
