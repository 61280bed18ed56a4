"""Debian's packages as a stranger meets them: what is in them, and installed on a system that has nothing else. They are made
of the build that NUTHATCH_BUILD names. A bare system needs root, mmdebstrap and a mirror; without, that part is left out,
and says so."""
import os, pathlib, re, shutil, signal, socket, subprocess, sys, tempfile, time, unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("NUTHATCH_BUILD", ROOT / "build" / "release"))
NAMES = ("nuthatch", "libnuthatch0", "libnuthatch-dev")
PATIENCE_S = 60
SYSTEM_PATIENCE_S = 400


def run(*command, patience_s=PATIENCE_S, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=patience_s, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def remove():
    """Never through what is still mounted there: that is this machine's own."""
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    if any(line.split()[1].startswith(str(folder)) for line in mounts):
        print(f"left as it is, for something is mounted there: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def make_system(system, suite, *sources):
    """None, or what went wrong. It is told to end rather than killed, so that it unmounts what it has mounted."""
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=essential", "--include=nuthatch,libnuthatch-dev", suite,
               system, *sources]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as made:
        try:
            said, _ = made.communicate(timeout=SYSTEM_PATIENCE_S)
        except subprocess.TimeoutExpired:
            made.terminate()
            made.communicate()
            return "it takes too long"
    return said if made.returncode else None


def setUpModule():
    global folder, packages
    folder = pathlib.Path(tempfile.mkdtemp(prefix="debian-packages-"))
    unittest.addModuleCleanup(remove)
    folder.chmod(0o755)  # apt's own user reads them
    run("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", folder / "made", patience_s=SYSTEM_PATIENCE_S)
    packages = {path.name.partition("_")[0]: path for path in (folder / "made").glob("*.deb")}
    shutil.rmtree(folder / "made" / "_CPack_Packages", ignore_errors=True)
    (folder / "out").mkdir()
    for name, path in packages.items():
        run("dpkg-deb", "--raw-extract", path, folder / "out" / name)


def inside(name):
    """The package's files, with DEBIAN/ for what dpkg is told."""
    return folder / "out" / name


def field(name, which):
    return run("dpkg-deb", "--field", packages[name], which).strip()


def files(name):
    """Path: (mode, owner) of what is no folder."""
    listed = {}
    for line in run("dpkg-deb", "--contents", packages[name]).splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        if not mode.startswith("d"):
            listed[path.partition(" -> ")[0].lstrip(".")] = mode, owner
    return listed


class Contents(unittest.TestCase):
    def test_each_package_has_its_files_and_no_others(self):
        wanted = {
            "nuthatch": {"/etc/nuthatch/nuthatch.yaml", "/usr/bin/nuthatch", "/usr/lib/systemd/system/nuthatch.service",
                         "/usr/share/man/man1/nuthatch.1.gz"},
            "libnuthatch0": {r"/usr/lib/libnuthatch.so.0", r"/usr/lib/libnuthatch.so.VERSION"},
            "libnuthatch-dev": {"/usr/include/nuthatch.h", "/usr/include/nuthatch_http.h", "/usr/lib/libnuthatch.a", "/usr/lib/libnuthatch.so",
                                "/usr/lib/pkgconfig/nuthatch.pc", "/usr/lib/cmake/nuthatch/nuthatch-config.cmake",
                                "/usr/lib/cmake/nuthatch/nuthatch-config-version.cmake",
                                "/usr/lib/cmake/nuthatch/nuthatch-targets.cmake"},
        }
        self.assertEqual(set(packages), set(NAMES))
        version = field("nuthatch", "Version").partition("-")[0]
        for name in NAMES:
            found = {path.replace(version, "VERSION") if "/libnuthatch.so." in path else path for path in files(name)}
            found = {path for path in found if not re.search(r"/nuthatch-targets-\w+\.cmake$", path)}
            doc = f"/usr/share/doc/{name}"
            self.assertEqual(found, wanted[name] | {f"{doc}/{one}" for one in ("copyright", "changelog.gz", "changelog.Debian.gz")})

    def test_everything_is_roots_and_nobody_else_may_write(self):
        for name in NAMES:
            for path, (mode, owner) in files(name).items():
                self.assertEqual(owner, "root/root", path)
                if not mode.startswith("l"):
                    is_program = path.startswith("/usr/bin/") or "/libnuthatch.so." in path
                    self.assertIn(mode, ("-rwxr-xr-x", "-rw-r--r--") if is_program else ("-rw-r--r--",), path)

    def test_dpkg_is_told_what_it_needs(self):
        version = field("nuthatch", "Version")
        self.assertRegex(version, r"^\d+\.\d+\.\d+-1\+[a-z]+[\d.]*$")
        for name in NAMES:
            self.assertEqual(field(name, "Version"), version)
            self.assertEqual(field(name, "Architecture"), run("dpkg", "--print-architecture").strip())
            self.assertGreater(int(field(name, "Installed-Size")), 0)
            synopsis = field(name, "Description").splitlines()[0]
            self.assertTrue(0 < len(synopsis) < 80, synopsis)
        needs = field("nuthatch", "Depends")
        for library in ("libc6", "libcurl4", "liburing2", "libssl3", "libnghttp2-14", "libyaml-0-2", "adduser"):
            self.assertRegex(needs, rf"(^|, ){re.escape(library)}(t64)?\b")
        self.assertEqual(re.findall(r"[\w.+-]+(?= |,|$)", re.sub(r"\([^)]*\)", "", field("libnuthatch0", "Depends"))), ["libc6"])
        self.assertIn(f"libnuthatch0 (= {version})", field("libnuthatch-dev", "Depends"))
        self.assertEqual((inside("nuthatch") / "DEBIAN" / "conffiles").read_text(), "/etc/nuthatch/nuthatch.yaml\n")
        self.assertIn("libnuthatch 0 libnuthatch0", (inside("libnuthatch0") / "DEBIAN" / "shlibs").read_text())
        self.assertIn("ldconfig", (inside("libnuthatch0") / "DEBIAN" / "triggers").read_text())

    def test_programs_are_stripped_and_look_nowhere_odd_for_libraries(self):
        for path in (inside("nuthatch") / "usr/bin/nuthatch", next(inside("libnuthatch0").glob("usr/lib/libnuthatch.so.?.*"))):
            self.assertNotIn(".debug_info", run("readelf", "--sections", "--wide", path), path)
            self.assertNotRegex(run("readelf", "--dynamic", path), "RPATH|RUNPATH")

    def test_no_file_names_a_folder_of_this_machine(self):
        for name in NAMES:
            for path in inside(name).rglob("*"):
                if path.is_file() and path.suffix in (".pc", ".cmake", ".service", ".yaml"):
                    self.assertNotIn(str(BUILD), path.read_text(), path)
                    self.assertNotIn(str(ROOT), path.read_text(), path)

    def test_the_scripts_are_scripts(self):
        for script in ("postinst", "prerm", "postrm"):
            run("sh", "-n", inside("nuthatch") / "DEBIAN" / script)

    def test_the_configuration_is_right(self):
        run(BUILD / "nuthatch", "check", inside("nuthatch") / "etc/nuthatch/nuthatch.yaml")

    def test_lintian_finds_no_error(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not here")
        # Who makes packages for others says who they are: NUTHATCH_MAINTAINER.
        done = subprocess.run(["lintian", "--no-cfg", "--fail-on", "none", "--suppress-tags", "bogus-mail-host,bogus-mail-host-in-debian-changelog",
                               *map(str, packages.values())],
                              capture_output=True, text=True, timeout=SYSTEM_PATIENCE_S, check=False)
        self.assertEqual([line for line in done.stdout.splitlines() if line.startswith("E:")], [], done.stdout)


class Unit(unittest.TestCase):
    UNIT = "usr/lib/systemd/system/nuthatch.service"

    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here")

    def test_systemd_understands_all_of_it(self):
        unit = folder / "nuthatch.service"
        text = (inside("nuthatch") / self.UNIT).read_text()
        unit.write_text(text.replace("/usr/bin/nuthatch", str(inside("nuthatch") / "usr/bin/nuthatch"))
                        .replace("Documentation=man:nuthatch(1)\n", ""))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        self.assertEqual([line for line in done.stderr.splitlines() if "nuthatch" in line], [])

    def test_little_is_left_to_it(self):
        # The first version that looks at a file offline is 250.
        if int(re.search(r"systemd (\d+)", run("systemd-analyze", "--version"))[1]) < 250:
            self.skipTest("this systemd-analyze cannot look at a file")
        said = run("systemd-analyze", "security", "--offline=true", inside("nuthatch") / self.UNIT)
        self.assertLess(float(re.search(r"exposure level for \S+: ([\d.]+)", said)[1]), 2.0, said)


class Bare(unittest.TestCase):
    """A Debian of the same release with nothing but its essential packages, and then these."""

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("packages are not installed anywhere: that needs root")
        if not shutil.which("mmdebstrap"):
            raise unittest.SkipTest("packages are not installed anywhere: mmdebstrap is not here")
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE))
        cls.suite, cls.system = release.get("VERSION_CODENAME", ""), folder / "system"
        mirror = os.environ.get("NUTHATCH_DEBIAN_MIRROR", "http://deb.debian.org/debian")
        if release.get("ID") != "debian":
            raise unittest.SkipTest("packages are not installed anywhere: this is not Debian")
        probe = subprocess.run(["curl", "--silent", "--fail", "--head", "--max-time", "20", f"{mirror}/dists/{cls.suite}/Release"],
                               capture_output=True, check=False)
        if probe.returncode != 0:
            raise unittest.SkipTest(f"packages are not installed anywhere: no answer from {mirror}")
        own = folder / "mirror"
        own.mkdir()
        for path in packages.values():
            shutil.copy(path, own)
        (own / "Packages").write_text(run("dpkg-scanpackages", "--multiversion", ".", cwd=own))
        wrong = make_system(cls.system, cls.suite, f"deb {mirror} {cls.suite} main", f"deb [trusted=yes] copy:{own} ./")
        if wrong and "nuthatch" in wrong:
            raise AssertionError(wrong)
        if wrong:
            raise unittest.SkipTest(f"packages are not installed anywhere: no such system can be made here:\n{wrong}")

    def chroot(self, *command):
        return run("chroot", self.system, *command)

    def test_what_dpkg_says_of_them(self):
        for name in NAMES:
            self.assertEqual(self.chroot("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", name).strip(), "ii", name)
        self.assertEqual(self.chroot("dpkg", "--verify", *NAMES), "")

    def test_the_user_may_read_the_configuration_and_others_may_not(self):
        self.assertEqual(self.chroot("stat", "--format=%U:%G %a", "/etc/nuthatch/nuthatch.yaml").strip(), "root:nuthatch 640")
        self.assertRegex(self.chroot("getent", "passwd", "nuthatch"), "/var/lib/nuthatch:/usr/sbin/nologin")
        link = self.system / "etc/systemd/system/multi-user.target.wants/nuthatch.service"
        self.assertTrue(link.is_symlink(), "it is not enabled")

    def test_the_program_runs_and_its_service_too(self):
        self.assertIn(field("nuthatch", "Version").partition("-")[0], self.chroot("nuthatch", "--version"))
        text = (self.system / "etc/nuthatch/nuthatch.yaml").read_text()
        path = self.system / "etc/nuthatch/here.yaml"
        path.write_text(text.replace("127.0.0.1:6379", "127.0.0.1:0"))
        shutil.chown(path, group=int(self.chroot("id", "--group", "nuthatch")))
        path.chmod(0o640)
        for kept in (b"$-1\r\n", b"$8\r\nnuthatch\r\n"):  # the second start has what the first was told
            self.serve(kept)

    def serve(self, kept):
        # As the unit has it: the service's user, in a folder of its own.
        state = self.system / "var/lib/nuthatch"
        state.mkdir(exist_ok=True)
        user = int(self.chroot("id", "--user", "nuthatch"))
        os.chown(state, user, -1)
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(["chroot", "--userspec=nuthatch:nuthatch", str(self.system), "nuthatch", "serve",
                                        "/etc/nuthatch/here.yaml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                self.talk(self.port_of(process, log), kept)
            finally:
                process.send_signal(signal.SIGTERM)
                status = process.wait(PATIENCE_S)
            log.seek(0)
            self.assertEqual(status, 0, log.read())

    def port_of(self, process, log):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and process.poll() is None:
            log.seek(0)
            found = re.search(r"cache ready on \S+:(\d+)\n", log.read())
            if found:
                return int(found[1])
            time.sleep(0.02)
        log.seek(0)
        raise AssertionError(f"it does not come up:\n{log.read()}")

    def talk(self, port, kept):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(b"GET bird\r\nSET bird nuthatch\r\nGET bird\r\n")
            wanted = kept + b"+OK\r\n$8\r\nnuthatch\r\n"
            got = b""
            while len(got) < len(wanted):
                piece = connection.recv(1000)
                if not piece:
                    break
                got += piece
            self.assertEqual(got, wanted)

    def test_a_program_is_compiled_with_the_library_and_runs(self):
        environment = {**os.environ, "PKG_CONFIG_LIBDIR": f"{self.system}/usr/lib/pkgconfig"}
        flags = run("pkg-config", "--cflags", "--libs", "nuthatch", env=environment).split()
        run("cc", ROOT / "examples" / "embed.c", *flags, "-o", self.system / "usr/bin/embed")
        self.assertIn("time to fetch it again", self.chroot("embed"))
        run("cc", ROOT / "examples" / "embed.c", f"-I{self.system}/usr/include", f"{self.system}/usr/lib/libnuthatch.a", "-lm",
            "-o", self.system / "usr/bin/embed-static")
        self.assertIn("time to fetch it again", self.chroot("embed-static"))

    def test_z_it_goes_away_without_a_trace_but_its_user(self):
        self.chroot("dpkg", "--purge", "libnuthatch-dev", "nuthatch", "libnuthatch0")
        for path in ("etc/nuthatch/nuthatch.yaml", "usr/bin/nuthatch", "usr/lib/libnuthatch.so.0", "var/lib/nuthatch",
                     "etc/systemd/system/multi-user.target.wants/nuthatch.service"):
            self.assertFalse(os.path.lexists(self.system / path), path)


if __name__ == "__main__":
    unittest.main()
