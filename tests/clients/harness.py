"""Starts what a test needs on free loopback ports and stops exactly that, by pid.

    with Nuthatch("cache") as server:       # server.port, server.stop(), server.log
    with Origin(handler) as origin:         # a threaded HTTP server of the test's own
    with Nginx(conf) as nginx:
"""
import fcntl, http.client, http.server, os, re, shutil, signal, socket, socketserver, subprocess, tempfile, threading, time, unittest

BINARY = os.environ.get("NUTHATCH", "build/release/nuthatch")
PATIENCE_S = 30

# The environment of a server whose memory is measured. AddressSanitizer keeps up to 256 MiB of what was freed, so as
# to notice its use: what has merely passed through would count as held.
FREED_IS_GONE = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") +
                 ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_still(measure, still_s=1):
    """Returns what `measure()` says, once it has said the same for a while."""
    end, since, last = time.time() + PATIENCE_S, time.time(), measure()
    while time.time() - since < still_s:
        if time.time() > end:
            raise AssertionError(f"still moving: {last}")
        time.sleep(0.05)
        now = measure()
        if now != last:
            since, last = time.time(), now
    return last


class Process:
    """A child process with its output in a file; stopped by pid. What it wrote stays in `log` once it has ended."""

    def __init__(self, command, **options):
        self.output = tempfile.TemporaryFile("a+")
        # A look at it moves the place that is shared with the process: let that write at the end wherever it is.
        fcntl.fcntl(self.output, fcntl.F_SETFL, os.O_APPEND)
        self.last_log = ""
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, **options)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        if not self.output.closed:
            self.output.seek(0)
            self.last_log = self.output.read()
        return self.last_log

    def wait_for(self, pattern, count=1):
        end = time.time() + PATIENCE_S
        while time.time() < end:
            found = re.findall(pattern, self.log)
            if len(found) >= count:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before it was ready:\n{self.log}")
            time.sleep(0.01)
        raise AssertionError(f"no /{pattern}/ in:\n{self.log}")

    def wait(self):
        """Returns its exit status, once it has ended."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop:\n{self.log}")
        finally:
            self.last_log = self.log
            self.output.close()

    def stop(self, signal_number=signal.SIGTERM):
        """Ends it and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status = self.stop()
        if kind is None and status != 0:
            raise AssertionError(f"ended with {status}:\n{self.log}")


class Nuthatch(Process):
    """One or more roles; ports are free ones. `ports` in the order of the roles' listeners."""

    def __init__(self, *arguments, listen="tcp://127.0.0.1:0", environment=None, prefix=()):
        command = [*prefix, BINARY, *arguments]
        listens = [listen] if isinstance(listen, str) else list(listen)
        for one in listens:
            command += ["--listen", one]
        super().__init__(command, env={**os.environ, **(environment or {})})
        found = self.wait_for(r"ready on [\w+]+://(\S+)\n", len(listens) or 1)
        self.ports = [None if at[0] == "/" else int(at.rsplit(":", 1)[1]) for at in found]  # None: a Unix socket
        self.port = self.ports[0]

    def status_kib(self, name):
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(rf"{name}:\s+(\d+)", status.read()).group(1))

    def resident_kib(self):
        """What it has touched, and in a build with a sanitizer what that keeps about it."""
        return self.status_kib("VmRSS")

    def resident_peak_kib(self):
        """The most that ever was resident."""
        return self.status_kib("VmHWM")

    def allocated_kib(self):
        """What it could touch: a buffer counts in full, however little it holds; what a sanitizer keeps about it, which
        is mapped at the start, does not count."""
        return self.status_kib("VmData")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Origin:
    """An HTTP/1.1 server in this process. `answer(request)` gets a http.server handler and writes what it likes;
    `requests` has every request line with its headers, in order."""

    def __init__(self, answer, port=0):
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # the body is a write of its own: it would wait for the head's ACK

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                    self.body = read_chunked(self.rfile)
                else:
                    self.body = self.rfile.read(length)
                with origin.lock:
                    origin.requests.append((self.command, self.path, self.headers, self.body))
                answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PURGE = do_QUERY = handle_any

            def reply(self, status=200, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                if "Content_Length" not in headers and status not in (204, 304):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD" and status not in (204, 304):
                    self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, request, client_address):
                pass

        self.lock = threading.Lock()
        self.requests = []
        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def count(self, path=None):
        with self.lock:
            return sum(1 for request in self.requests if path is None or request[1] == path)

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def read_chunked(stream):
    body = b""
    while True:
        size = int(stream.readline().split(b";")[0], 16)
        piece = stream.read(size)
        stream.readline()
        if size == 0:
            return body
        body += piece


class Nginx(Process):
    """nginx in the foreground with `locations` in its server block, files from `self.folder`/html."""

    def __init__(self, locations, files=()):
        self.folder = tempfile.mkdtemp(prefix="nuthatch-nginx-")
        os.chmod(self.folder, 0o755)
        os.mkdir(f"{self.folder}/html")
        for name, contents in files:
            with open(f"{self.folder}/html/{name}", "wb") as file:
                file.write(contents)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with open(f"{self.folder}/nginx.conf", "w") as conf:
            conf.write(f"""
                daemon off; master_process off; pid {self.folder}/pid; error_log stderr;
                events {{ worker_connections 4096; }}
                http {{
                    access_log off;
                    client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
                    fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi;
                    scgi_temp_path {self.folder}/scgi;
                    server {{ listen 127.0.0.1:{self.port}; root {self.folder}/html; {locations} }}
                }}""")
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        super().__init__([nginx, "-c", f"{self.folder}/nginx.conf", "-p", self.folder])
        end = time.time() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.time() > end:
                    raise AssertionError(f"nginx did not start:\n{self.log}")
                time.sleep(0.02)

    def __exit__(self, *arguments):
        try:
            self.stop(signal.SIGTERM)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def __getitem__(self, name):
        return self.headers.get(name)


def fetch(port, path, method="GET", body=None, connection=None, **headers):
    """One request on a connection of its own, or on `connection`."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        own.request(method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return Answer(own.getresponse())
    finally:
        if connection is None:
            own.close()


def raw(port, data, timeout=PATIENCE_S, shutdown=False):
    """Sends bytes and returns everything until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        try:
            s.sendall(data)
            if shutdown:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        pieces = []
        try:
            while not pieces or pieces[-1]:
                pieces.append(s.recv(1 << 20))
        except ConnectionError:
            pass
        return b"".join(pieces)


class WithAdministrator(unittest.TestCase):
    """A gateway whose administrator's API is at the port `admin`, for tests that change nothing of it."""

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin(lambda r: r.reply(200, b"x", Cache_Control="max-age=60"))
        cls.server = Nuthatch("gateway", cls.origin.url, "--memory", "64M", "--admin", "http://127.0.0.1:0",
                              listen="http://127.0.0.1:0")
        cls.admin = int(cls.server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        assert cls.server.stop() == 0
