"""Builds the extension: with the libnuthatch that is installed, or else with the library's sources of this tree.

    NUTHATCH_LIB_DIR, NUTHATCH_INCLUDE_DIR   a build of the library that is not installed
    NUTHATCH_FROM_SOURCE=1                   this tree's sources, whatever is installed"""
import os
import pathlib
import re
import shlex
import subprocess

from setuptools import Extension, setup

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
CMAKE = (TREE / "CMakeLists.txt").read_text()
VERSION = re.search(r"project\(nuthatch VERSION ([\d.]+)", CMAKE).group(1)
WARNINGS = ["-std=gnu17", "-fno-strict-aliasing", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-missing-field-initializers"]


def pkg_config(*words):
    """What it says, in words; None without it, or if it does not know."""
    try:
        said = subprocess.run(["pkg-config", *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return shlex.split(said.stdout)


def built_library():
    """A build that is not installed."""
    library_folder, include_folder = os.environ.get("NUTHATCH_LIB_DIR"), os.environ.get("NUTHATCH_INCLUDE_DIR")
    if not library_folder:
        return None
    return {"libraries": ["nuthatch"], "library_dirs": [library_folder], "runtime_library_dirs": [library_folder],
            "include_dirs": [include_folder or str(TREE / "include")]}


def installed_library():
    # Before 1.0 a minor version may change the interface.
    minor = ".".join(VERSION.split(".")[:2])
    if pkg_config("--atleast-version", minor, "nuthatch") is None:
        return None
    folder = pkg_config("--variable=libdir", "nuthatch")[0]
    words = {"extra_compile_args": pkg_config("--cflags", "nuthatch"), "extra_link_args": pkg_config("--libs", "nuthatch")}
    if not re.fullmatch(r"/(usr/)?lib(/[^/]*-linux-gnu)?", folder):
        words["runtime_library_dirs"] = [folder]
    return words


def library_sources():
    """The library's layers, as the tree has them."""
    layers = re.findall(r"^layer\((base|store) FOLDERS (\S+)", CMAKE, re.MULTILINE)
    folders = [TREE / "src" / folder.rstrip(")") for _, folder in layers]
    if len(folders) != 2:
        raise SystemExit("libnuthatch is not installed, and this is not nuthatch's tree")
    xxhash = pkg_config("--cflags", "libxxhash")
    if xxhash is None:
        raise SystemExit("libnuthatch is not installed, and its sources want xxHash: apt-get install libxxhash-dev pkg-config")
    sources = [os.path.relpath(path, HERE) for folder in folders for path in sorted(folder.glob("*.c"))]
    return {"sources": sources, "include_dirs": [str(TREE / "include"), str(TREE / "src")], "libraries": ["m"],
            "define_macros": [("_GNU_SOURCE", None), ("NUTHATCH_VERSION", f'"{VERSION}"')], "extra_compile_args": xxhash}


def extension():
    library = None
    if os.environ.get("NUTHATCH_FROM_SOURCE") != "1":
        library = built_library() or installed_library()
    library = library or library_sources()
    own = sorted(os.path.relpath(path, HERE) for path in (HERE / "src").glob("*.c"))
    library["sources"] = own + library.pop("sources", [])
    library["extra_compile_args"] = WARNINGS + library.pop("extra_compile_args", [])
    return Extension("nuthatch._nuthatch", depends=[str(path) for path in (HERE / "src").glob("*.[hd]*")], **library)


setup(version=VERSION, packages=["nuthatch"], package_data={"nuthatch": ["py.typed", "*.pyi"]}, ext_modules=[extension()])
