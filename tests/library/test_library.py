"""libnuthatch as a stranger meets it: installed, moved, found by pkg-config and CMake, used from C, C++ and Python.
The programs of docs/embedding.md and of examples/ are built against it and must print what they say they print."""
import ctypes, itertools, os, pathlib, re, shutil, subprocess, sys, tempfile, unittest

from event_loop import check_event_loop

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("NUTHATCH_BUILD", ROOT / "build" / "release"))
HEADERS = ("nuthatch.h", "nuthatch_http.h")
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
PATIENCE_S = 120
# What a library leaves to its program: its output, its end, its signals, its children, its clock, its settings.
NOT_OURS = re.compile(
    r"std(in|out|err)|(__)?(v|f|vf|d|vd)?printf(_chk)?|f?puts|f?putc|putchar|fwrite|perror|v?syslog|v?warnx?|v?errx?"
    r"|_?exit|_Exit|quick_exit|abort|atexit|on_exit|raise|kill|signal|sigaction|sig(proc)?mask|pthread_sigmask"
    r"|v?fork|pthread_atfork|exec\w+|system|popen|pthread_create|thrd_create"
    r"|clock_gettime|clock|gettimeofday|time|s?rand|setlocale|putenv|(un)?setenv|(secure_)?getenv|chdir|umask")


def run(*command, folder=None, **environment):
    done = subprocess.run([str(word) for word in command], cwd=folder, env={**os.environ, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise AssertionError(f"{words}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def setUpModule():
    global folder, prefix, library_folder, pkg_config_path
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nuthatch-library-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    run("cmake", "--install", BUILD, "--prefix", folder / "first")
    # Whatever remembers where it was installed fails from here on.
    prefix = (folder / "first").rename(folder / "moved")
    pc = next(prefix.rglob("nuthatch.pc"))
    pkg_config_path, library_folder = str(pc.parent), pc.parent.parent


def shared_library():
    return library_folder / "libnuthatch.so"


def archive():
    return library_folder / "libnuthatch.a"


def pkg_config(*words):
    return run("pkg-config", *words, "nuthatch", PKG_CONFIG_PATH=pkg_config_path).split()


def run_program(path, in_folder=None):
    return run(path, folder=in_folder, LD_LIBRARY_PATH=str(library_folder))


def names(*nm):
    """The names that nm lists, without symbol versions."""
    lines = run("nm", "--format=posix", *nm).splitlines()
    listed = [line.split() for line in lines if not line.endswith(":")]
    return {fields[0].split("@")[0] for fields in listed if len(fields) > 1 and fields[1] != "A"}


def needed_by(file):
    return {name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", file))
            if not name.startswith("ld-linux")}


def functions_of_headers():
    text = "".join((ROOT / "include" / header).read_text() for header in HEADERS)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return set(re.findall(r"NH_API\s[^;(]*?\b(nh_\w+)\(", text))


class Headers(unittest.TestCase):
    def test_each_compiles_alone_as_c_and_as_cpp_with_every_compiler_here(self):
        for compilers, language, standards in ((("cc", "gcc", "clang"), "c", ("c11", "c17")),
                                               (("c++", "g++", "clang++"), "c++", ("c++17", "c++20"))):
            here = [compiler for compiler in compilers if shutil.which(compiler)]
            self.assertTrue(here, f"no compiler of {language}")
            for compiler in here:
                for standard, header in itertools.product(standards, HEADERS):
                    with self.subTest(compiler=compiler, standard=standard, header=header):
                        run(compiler, f"-std={standard}", *STRICT, "-fsyntax-only", "-I", prefix / "include",
                            "-x", language, "-include", header, "/dev/null")


class Symbols(unittest.TestCase):
    def test_the_shared_library_exports_the_functions_of_the_headers_and_nothing_else(self):
        self.assertGreater(len(functions_of_headers()), 40)
        self.assertEqual(names("-D", "--defined-only", shared_library()), functions_of_headers())

    def test_the_archive_has_no_other_names_that_could_meet_those_of_a_program(self):
        self.assertEqual(names("-g", "--defined-only", archive()), functions_of_headers())

    def test_neither_asks_for_what_belongs_to_the_program(self):
        for file, *options in ((shared_library(), "-D"), (archive(), "-g")):
            asked = names("-u", *options, file)
            print(f"{file.name} imports {' '.join(sorted(asked))}", file=sys.stderr)
            self.assertEqual([name for name in sorted(asked) if NOT_OURS.fullmatch(name)], [], file.name)

    def test_the_shared_library_needs_libc_and_libm_alone(self):
        self.assertLessEqual(needed_by(shared_library()), {"libc.so.6", "libm.so.6"})

    def test_versions_agree(self):
        library = ctypes.CDLL(str(shared_library()))
        library.nh_version.restype = ctypes.c_char_p
        self.assertEqual(library.nh_version().decode(), pkg_config("--modversion")[0])


class Installed(unittest.TestCase):
    def test_all_of_it_is_there(self):
        for pattern in ("bin/nuthatch", "include/nuthatch.h", "include/nuthatch_http.h", "share/man/man1/nuthatch.1", "share/doc/nuthatch/LICENSE"):
            self.assertTrue((prefix / pattern).is_file(), pattern)
        for name in ("libnuthatch.a", "libnuthatch.so", "libnuthatch.so.0", "cmake/nuthatch/nuthatch-config.cmake"):
            self.assertTrue((library_folder / name).is_file(), name)
        self.assertIn(pkg_config("--modversion")[0], run(prefix / "bin" / "nuthatch", "--version"))

    def test_no_file_of_the_packages_names_a_folder_of_this_machine(self):
        for path in [pathlib.Path(pkg_config_path) / "nuthatch.pc", *library_folder.rglob("*.cmake")]:
            for place in (folder, ROOT, BUILD):
                self.assertNotIn(str(place), path.read_text(), path.name)


def check_embed(test, output):
    test.assertIn('/users/7       "{"name":"Ada"}"', output)
    test.assertIn("stale: time to fetch it again", output)
    test.assertIn('visits         "3"', output)
    test.assertIn("/users/8       no such key", output)


def check_read_through(test, output):
    counts = [tuple(map(int, found)) for found in
              re.findall(r"12 callers, (\d+) slow answers, (\d+) served what is stale", output)]
    test.assertEqual([asked for asked, _ in counts], [3, 0, 3, 3, 3], output)
    test.assertEqual([stale for _, stale in counts[:2] + counts[4:]], [0, 0, 0], output)


def check_embed_cpp(test, output):
    test.assertEqual(output, "/birds/1 is the Eurasian nuthatch\n/birds/2 is not here\n")


def prints(check):
    return lambda test, path: check(test, run_program(path))


def serves(check):
    return lambda test, path: check(test, path, library_folder)


EXAMPLES = (("cc", "-std=gnu11", "embed.c", prints(check_embed)),
            ("cc", "-std=gnu11", "read_through.c", prints(check_read_through)),
            ("cc", "-std=gnu11", "event_loop.c", serves(check_event_loop)),
            ("c++", "-std=c++17", "embed.cpp", prints(check_embed_cpp)))


class Examples(unittest.TestCase):
    def needs_libnuthatch(self, program):
        self.assertIn("libnuthatch.so.0", needed_by(program))

    def needs_no_libnuthatch(self, program):
        self.assertNotIn("libnuthatch.so.0", needed_by(program))

    def build_and_check(self, name, compiler_flags, library_flags, check_linking):
        for compiler, standard, source, check in EXAMPLES:
            with self.subTest(source=source, how=name):
                program = folder / f"{source}.{name}"
                run(compiler, standard, *STRICT, ROOT / "examples" / source, *compiler_flags, *library_flags,
                    "-pthread", "-o", program)
                check(self, program)
                check_linking(program)

    def test_with_pkg_config_and_the_shared_library(self):
        self.build_and_check("shared", pkg_config("--cflags"), pkg_config("--libs"), self.needs_libnuthatch)

    def test_with_pkg_config_and_the_archive(self):
        archive_path = pkg_config("--variable=libdir")[0] + "/libnuthatch.a"
        self.build_and_check("archive", pkg_config("--cflags"), [archive_path, "-lm"], self.needs_no_libnuthatch)

    def test_all_static(self):
        self.build_and_check("static", ["-static", *pkg_config("--cflags")], pkg_config("--static", "--libs"),
                             lambda program: self.assertEqual(needed_by(program), set()))

    def test_a_cmake_project_finds_the_package(self):
        build = folder / "build-examples"
        run("cmake", "-S", ROOT / "examples", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", build)
        check_embed(self, run(build / "embed"))
        check_read_through(self, run(build / "read_through"))
        check_event_loop(self, build / "event_loop", library_folder)
        check_embed_cpp(self, run(build / "embed_cpp"))
        self.needs_libnuthatch(build / "embed")
        self.needs_no_libnuthatch(build / "read_through")

    def test_a_cmake_project_builds_the_library_alone_from_source(self):
        project = folder / "from-source"
        project.mkdir()
        shutil.copy(ROOT / "examples" / "embed.c", project)
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(from-source LANGUAGES C)\n"
            f"add_subdirectory({ROOT} nuthatch EXCLUDE_FROM_ALL)\n"
            "add_executable(embed embed.c)\ntarget_link_libraries(embed PRIVATE nuthatch::static)\n")
        run("cmake", "-S", project, "-B", project / "build", "-G", "Ninja")
        run("cmake", "--build", project / "build")
        check_embed(self, run(project / "build" / "embed"))


class Guide(unittest.TestCase):
    """docs/embedding.md: a block with a file's name is that file; the block of text behind it is what it prints."""

    @classmethod
    def setUpClass(cls):
        text = (ROOT / "docs" / "embedding.md").read_text()
        cls.folder = folder / "guide"
        cls.folder.mkdir()
        cls.printed = {}
        for language, name, body, output in re.findall(
                r"^```(c|python)(?: (\S+))?\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", text, re.MULTILINE | re.DOTALL):
            name = name or "program.py"
            (cls.folder / name).write_text(body)
            if not name.endswith(".h"):
                cls.printed[name] = output

    def test_every_program_prints_what_the_page_says(self):
        self.assertGreater(len(self.printed), 9)
        for name, printed in self.printed.items():
            with self.subTest(name):
                self.assertTrue(printed, "the page does not say what it prints")
                self.assertEqual(self.run_one(name), printed)

    def run_one(self, name):
        if name.endswith(".py"):
            return run(sys.executable, name, folder=self.folder, LD_LIBRARY_PATH=str(library_folder))
        program = self.folder / name.removesuffix(".c")
        run("cc", "-std=gnu11", *STRICT, name, *pkg_config("--cflags", "--libs"), "-pthread", "-o", program,
            folder=self.folder)
        return run_program(program, in_folder=self.folder)


if __name__ == "__main__":
    unittest.main()
