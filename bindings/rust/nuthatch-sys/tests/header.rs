//! Holds src/lib.rs against nuthatch.h: a C compiler is shown this crate's functions, constants and structs beside
//! the header's, and refuses what does not agree.

use nuthatch_sys::*;
use std::fmt::Write;
use std::mem::{size_of, MaybeUninit};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, ptr};

const SOURCE: &str = include_str!("../src/lib.rs");

fn header() -> PathBuf {
    let folder = env::var_os("NUTHATCH_INCLUDE_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../include"), PathBuf::from);
    folder.join("nuthatch.h")
}

/// Compiles C that includes the header; what the compiler says if it refuses.
fn compile(name: &str, text: &str) -> Result<(), String> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, format!("#include \"{}\"\n{text}", header().display())).unwrap();
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .env_remove("LD_PRELOAD") // a sanitizer of the library under test is no business of the compiler's
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .arg(&path)
        .output()
        .expect("a C compiler");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A type of ours as C writes it.
fn c_type(rust: &str) -> String {
    if let Some(target) = rust.strip_prefix("*mut ") {
        return format!("{} *", c_type(target));
    }
    if let Some(target) = rust.strip_prefix("*const ") {
        return format!("const {} *", c_type(target));
    }
    match rust {
        "c_char" => "char",
        "c_void" => "void",
        "usize" => "size_t",
        "u64" => "uint64_t",
        "i64" => "int64_t",
        "u32" => "uint32_t",
        "i32" => "int32_t",
        name if name.starts_with("nh_") => name,
        other => panic!("C has no {other}"),
    }
    .to_string()
}

/// A function of ours as C declares it.
fn prototype(line: &str) -> (String, String) {
    let (name, rest) = line.split_once('(').unwrap();
    let (arguments, returned) = rest.rsplit_once(')').unwrap();
    let types: Vec<String> = arguments
        .split(", ")
        .filter(|argument| !argument.is_empty())
        .map(|argument| c_type(argument.split_once(": ").unwrap().1))
        .collect();
    let returned = returned.trim_end_matches(';').trim().strip_prefix("-> ").map_or("void".to_string(), c_type);
    let arguments = if types.is_empty() { "void".to_string() } else { types.join(", ") };
    (name.to_string(), format!("{returned} {name}({arguments});"))
}

fn prototypes() -> Vec<(String, String)> {
    SOURCE.lines().filter_map(|line| line.trim().strip_prefix("pub fn ")).map(prototype).collect()
}

#[test]
fn every_function_has_the_types_of_the_header() {
    let text: Vec<String> = prototypes().into_iter().map(|(_, text)| text).collect();
    assert!(text.len() > 40);
    compile("functions.c", &text.join("\n")).unwrap();
}

#[test]
fn a_function_of_other_types_is_refused() {
    let wrong = prototype("nh_delete(store: *mut nh_store, now_ms: i32, key: nh_key) -> nh_result;").1;
    compile("wrong.c", &wrong).unwrap_err();
}

#[test]
fn every_function_of_the_header_is_here() {
    let text = fs::read_to_string(header()).unwrap();
    let ours: Vec<String> = prototypes().into_iter().map(|(name, _)| name).collect();
    let mut count = 0;
    for part in text.split("NH_API ").skip(1) {
        let declared = part.split('(').next().unwrap();
        if !declared.contains("nh_") {
            continue; // the macro's own definition
        }
        let name = declared.rsplit(|c: char| c == ' ' || c == '*').next().unwrap();
        assert!(ours.contains(&name.to_string()), "{name} is missing here");
        count += 1;
    }
    assert_eq!(count, ours.len());
}

#[test]
fn every_constant_has_the_value_of_the_header() {
    let mut text = String::new();
    for line in SOURCE.lines().filter_map(|line| line.strip_prefix("pub const NH_")) {
        let (name, rest) = line.split_once(": ").unwrap();
        let value = rest.split_once("= ").unwrap().1.trim_end_matches(';').replace("u32::MAX", "UINT32_MAX");
        writeln!(text, "_Static_assert(NH_{name} == {value}, \"NH_{name}\");").unwrap();
    }
    assert!(text.lines().count() > 30);
    compile("constants.c", &text).unwrap();
}

#[test]
fn every_constant_of_the_header_is_here() {
    let text = fs::read_to_string(header()).unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("#define NH_")) {
        let name = line.split(' ').next().unwrap();
        assert!(name == "API" || SOURCE.contains(&format!("pub const NH_{name}: ")), "NH_{name} is missing here");
    }
}

macro_rules! layout {
    ($text:ident, $($struct:ident { $($field:ident)* })*) => {$(
        let place = MaybeUninit::<$struct>::uninit();
        let base = place.as_ptr();
        writeln!($text, "_Static_assert(sizeof({0}) == {1}, \"{0}\");", stringify!($struct), size_of::<$struct>()).unwrap();
        $(
            // Safety: only the place of a field is asked for, within `place`.
            let offset = unsafe { ptr::addr_of!((*base).$field) as usize } - base as usize;
            writeln!($text, "_Static_assert(offsetof({0}, {1}) == {offset}, \"{0}.{1}\");", stringify!($struct), stringify!($field)).unwrap();
        )*
    )*};
}

#[test]
fn every_struct_lies_in_memory_as_in_c() {
    let mut text = String::new();
    layout!(text,
        nh_bytes { data size }
        nh_key { data size space }
        nh_options { size memory_bytes value_bytes_max hash_seed insight_spaces huge_pages dropped dropped_context }
        nh_value { bytes size version expires_at_ms stale_at_ms flags traits note pin pin_place }
        nh_get_request { key buffer capacity value_bytes result reserved }
        nh_fetch_options { size lease_ms early_percent reserved }
        nh_put_options { size ttl_ms soft_ttl_ms flags keep_ttl tags tag_count cost_ms negative note reserved version as_of_purge }
        nh_stats {
            size items item_bytes memory_bytes memory_bytes_max hits misses puts deletes expired evicted purged rejected
            stale_served leases lease_waits fills_refused pinned_bytes borrowed_copied_bytes moved index_bytes
            segment_bytes key_bytes_max
        }
        nh_curve_point { memory_bytes miss_ratio }
        nh_hot_key { space key_bytes reads reads_over key }
    );
    compile("structs.c", &text).unwrap();
}

#[test]
fn the_library_that_is_linked_is_the_one_that_this_was_written_for() {
    // Safety: no arguments.
    assert_eq!(unsafe { nh_abi_version() }, NH_ABI_VERSION);
}
