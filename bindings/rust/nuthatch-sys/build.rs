//! Finds libnuthatch, or builds it.
//!
//! 1. `NUTHATCH_LIB_DIR` names a folder with the library: shared, or with `NUTHATCH_STATIC=1` the archive.
//! 2. Else pkg-config knows one, unless the feature `vendored` is on.
//! 3. Else it is built from the tree that this crate lies in, by `$CC` or cc.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

fn main() {
    for name in ["NUTHATCH_LIB_DIR", "NUTHATCH_STATIC", "PKG_CONFIG", "PKG_CONFIG_PATH", "CC", "OBJCOPY", "AR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(folder) = env::var_os("NUTHATCH_LIB_DIR") {
        use_folder(Path::new(&folder));
    } else if env::var_os("CARGO_FEATURE_VENDORED").is_none() && use_pkg_config() {
        // All is said.
    } else {
        build();
    }
}

fn wants_static() -> bool {
    env::var("NUTHATCH_STATIC").map_or(false, |value| value != "0" && !value.is_empty())
}

fn link(folder: &str, is_static: bool) {
    println!("cargo:rustc-link-search=native={folder}");
    if is_static {
        println!("cargo:rustc-link-lib=static=nuthatch");
        println!("cargo:rustc-link-lib=m");
        println!("cargo:rustc-link-lib=pthread");
    } else {
        println!("cargo:rustc-link-lib=dylib=nuthatch");
    }
}

fn use_folder(folder: &Path) {
    let is_static = wants_static();
    let file = folder.join(if is_static { "libnuthatch.a" } else { "libnuthatch.so" });
    if !file.exists() {
        panic!(
            "NUTHATCH_LIB_DIR is {}, which has no {}; unset it to have the library found or built",
            folder.display(),
            file.display()
        );
    }
    println!("cargo:rerun-if-changed={}", file.display());
    link(&folder.to_string_lossy(), is_static);
}

/// Asks pkg-config; false if it knows no library that suits.
fn use_pkg_config() -> bool {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| OsString::from("pkg-config"));
    let minor = env::var("CARGO_PKG_VERSION").unwrap();
    let minor = minor.rsplit_once('.').unwrap().0.to_string();
    let ask = |words: &[&str]| {
        let output = Command::new(&program).args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    // Before 1.0 a minor version may change the interface.
    match ask(&["--modversion", "nuthatch"]) {
        Some(version) if version.starts_with(&(minor.clone() + ".")) => (),
        Some(version) => {
            println!("cargo:warning=libnuthatch {version} is installed, but this crate is for {minor}: building it");
            return false;
        }
        None => return false,
    }
    match ask(&["--variable=libdir", "nuthatch"]) {
        Some(folder) => link(&folder, wants_static()),
        None => return false,
    }
    true
}

// ---- from source -----------------------------------------------------------------------------------

/// Compilers that are at work at once.
struct Jobs {
    running: Vec<(Child, String)>,
    count_max: usize,
}

impl Jobs {
    fn start(&mut self, mut command: Command) {
        if self.running.len() == self.count_max {
            self.wait_for_one();
        }
        let words = format!("{command:?}");
        match command.spawn() {
            Ok(child) => self.running.push((child, words)),
            Err(error) => panic!("{words}: {error}; install a C compiler, or set CC"),
        }
    }

    fn wait_for_one(&mut self) {
        let (mut child, words) = self.running.remove(0);
        let status = child.wait().expect("a compiler to wait for");
        if !status.success() {
            panic!("{words}: {status}; the C library needs the header of xxHash (Debian: libxxhash-dev)");
        }
    }

    fn wait_for_all(&mut self) {
        while !self.running.is_empty() {
            self.wait_for_one();
        }
    }
}

/// The C files of the library: those of the folders that CMakeLists.txt makes it of.
fn sources(tree: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["src/base", "src/store"] {
        let folder = tree.join(folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        let entries = fs::read_dir(&folder).unwrap_or_else(|_| {
            panic!(
                "libnuthatch is not installed, and its sources are not at {}; install it, or set NUTHATCH_LIB_DIR",
                folder.display()
            )
        });
        files.extend(
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().map_or(false, |e| e == "c")),
        );
    }
    files.sort();
    files
}

fn version(tree: &Path) -> String {
    let text = fs::read_to_string(tree.join("CMakeLists.txt")).expect("CMakeLists.txt");
    let at = text.find("project(nuthatch VERSION ").expect("a version in CMakeLists.txt")
        + "project(nuthatch VERSION ".len();
    text[at..].split_whitespace().next().unwrap().to_string()
}

fn run(mut command: Command) {
    let words = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => (),
        Ok(status) => panic!("{words}: {status}"),
        Err(error) => panic!("{words}: {error}"),
    }
}

/// One object whose names but nh_… are local, so that none of ours can meet one of the program's.
fn build() {
    let tree = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../..");
    println!("cargo:rerun-if-changed={}", tree.join("include").display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let compiler = env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
    let says = Command::new(&compiler)
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // Clang's objects for optimising at link time cannot be put together ahead of it.
    let is_gcc = says.map_or(false, |text| text.contains("Free Software Foundation"));
    let jobs_max = env::var("NUM_JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut jobs = Jobs { running: Vec::new(), count_max: jobs_max };
    let mut objects = Vec::new();

    for (i, source) in sources(&tree).iter().enumerate() {
        let object = out.join(format!("{i}.o"));
        let mut command = Command::new(&compiler);
        command.args([
            "-std=gnu17",
            "-O2",
            "-g",
            "-fPIC",
            "-fvisibility=hidden",
            "-fno-strict-aliasing",
            "-D_GNU_SOURCE",
            "-c",
        ]);
        if is_gcc {
            command.arg("-flto");
        }
        command.arg(format!("-DNUTHATCH_VERSION=\"{}\"", version(&tree)));
        command.arg("-I").arg(tree.join("src")).arg("-I").arg(tree.join("include"));
        command.arg(source).arg("-o").arg(&object);
        jobs.start(command);
        objects.push(object);
    }
    jobs.wait_for_all();

    let whole = out.join("libnuthatch.o");
    let mut command = Command::new(&compiler);
    command.args(["-r", "-nostdlib"]);
    if is_gcc {
        command.args(["-O2", "-g", "-flto", "-flinker-output=nolto-rel"]);
    }
    command.arg("-o").arg(&whole).args(&objects);
    run(command);
    let mut command = Command::new(env::var_os("OBJCOPY").unwrap_or_else(|| OsString::from("objcopy")));
    command.arg("--localize-hidden").arg(&whole);
    run(command);
    let archive = out.join("libnuthatch.a");
    let _ = fs::remove_file(&archive);
    let mut command = Command::new(env::var_os("AR").unwrap_or_else(|| OsString::from("ar")));
    command.arg("crs").arg(&archive).arg(&whole);
    run(command);
    link(&out.to_string_lossy(), true);
}
