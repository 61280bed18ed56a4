//! A libnuthatch of another interface than the one that the crate was written for.

use nuthatch::{Cache, Error};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// In a process where the other library comes first.
#[test]
#[ignore = "the test below runs it"]
fn finds_the_other_library() {
    // Safety: no arguments.
    if unsafe { nuthatch_sys::nh_abi_version() } == nuthatch_sys::NH_ABI_VERSION {
        return; // it is linked statically: there can be no other
    }
    let error = Cache::new(1 << 20).unwrap_err();
    assert_eq!(error, Error::Incompatible);
    assert!(error.to_string().contains("install the same"));
}

#[test]
fn a_library_of_another_interface_is_refused() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, library) = (folder.join("other_library.c"), folder.join("other_library.so"));
    fs::write(&source, "unsigned nh_abi_version(void) { return 1000000; }\n").unwrap();
    let compiled = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .env_remove("LD_PRELOAD")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .expect("a C compiler");
    assert!(compiled.success());

    let mut preloaded = env::var("LD_PRELOAD").unwrap_or_default(); // a sanitizer's runtime has to be the first
    preloaded = preloaded + " " + library.to_str().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .env("LD_PRELOAD", preloaded.trim())
        .args(["--exact", "--ignored", "finds_the_other_library"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
