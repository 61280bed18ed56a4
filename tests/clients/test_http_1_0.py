"""HTTP/1.0 clients in front of answers whose length nobody knows beforehand."""
import socket, time, unittest

from harness import Nuthatch, Origin, raw


class Http10(unittest.TestCase):
    def serve(self, answer):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M")
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return origin, server

    def chunks(self, request):
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.send_header("Cache-Control", "max-age=60" if request.path == "/kept" else "no-store")
        request.end_headers()
        for _ in range(20):
            request.wfile.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            if request.path == "/live":  # so that its head is not passed on with its end in sight
                time.sleep(0.02)
        if request.path == "/cut":
            request.close_connection = True
        else:
            request.wfile.write(b"0\r\n\r\n")

    def test_a_body_of_unknown_length_ends_with_the_connection_and_is_never_chunked(self):
        origin, server = self.serve(self.chunks)
        for asked in ("", "Connection: keep-alive\r\n"):
            said = raw(server.port, f"GET /live HTTP/1.0\r\n{asked}\r\n".encode())
            head, body = said.split(b"\r\n\r\n", 1)
            self.assertEqual(body, b"x" * 20000)
            self.assertIn(b"\r\nConnection: close", head)
            self.assertNotIn(b"Transfer-Encoding", head)
            self.assertNotIn(b"Content-Length", head)

    def test_what_is_stored_has_its_length_and_the_connection_goes_on_if_asked(self):
        origin, server = self.serve(self.chunks)
        raw(server.port, b"GET /kept HTTP/1.0\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port), 30) as s:
            for _ in range(2):
                s.sendall(b"GET /kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                said = b""
                while not said.endswith(b"\r\n\r\n" + b"x" * 20000):
                    piece = s.recv(1 << 16)
                    self.assertTrue(piece, said[:200])
                    said += piece
                self.assertIn(b"\r\nContent-Length: 20000\r\n", said)
                self.assertIn(b"\r\nConnection: keep-alive\r\n", said)
        self.assertEqual(origin.count("/kept"), 1)

    def test_a_body_that_is_cut_short_does_not_look_whole(self):
        origin, server = self.serve(self.chunks)
        with socket.create_connection(("127.0.0.1", server.port), 30) as s:
            s.sendall(b"GET /cut HTTP/1.0\r\n\r\n")
            with self.assertRaises(ConnectionResetError):
                while s.recv(1 << 16):
                    pass

    def test_the_origin_learns_no_host_from_a_client_that_names_none(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x"))
        raw(server.port, b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(origin.requests[0][2].get_all("Host"), [f"127.0.0.1:{origin.port}"])


if __name__ == "__main__":
    unittest.main()
