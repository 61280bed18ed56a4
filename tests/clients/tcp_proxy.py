"""A TCP proxy for tests: what a network can do to a connection, without being root.

    with Proxy(server.port) as proxy:                  # clients connect to proxy.port
        proxy.hold()                                   # nothing passes any more, connections stay: a cut cable
        proxy.let_go()                                 # what was held arrives
        proxy.hold(TO_CLIENT)                          # one direction only
        proxy.delay(0.2)                               # each piece comes later by that, in order
        proxy.cut()                                    # all connections are reset
        proxy.refuse(); proxy.accept()                 # nobody listens
        proxy.connection_count, proxy.accepted         # now, and all that ever came

With `name_of`, a function of the first bytes that a client sends, connections have names, and hold and let_go may be
for those of one name only."""
import asyncio
import socket
import struct
import threading
import time

from harness import PATIENCE_S

TO_SERVER, TO_CLIENT = "to server", "to client"
BOTH = (TO_SERVER, TO_CLIENT)
QUEUED_PIECES_MAX = 256
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    def __init__(self, proxy, client):
        self.name = None
        self.transports = [client.transport]
        self.is_ended = False
        self.gates = {way: asyncio.Event() for way in BOTH}
        self.set_gates(proxy)

    def set_gates(self, proxy):
        for way, gate in self.gates.items():
            is_held = {(way, None), (way, self.name)} & proxy.held and not self.is_ended
            (gate.clear if is_held else gate.set)()

    def reset(self):
        self.is_ended = True
        for gate in self.gates.values():  # nobody waits there for ever
            gate.set()
        for transport in self.transports:
            try:  # no farewell: whoever is at the other end hears of a reset
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            except OSError:
                pass
            transport.abort()


class Proxy:
    def __init__(self, target_port, port=0, name_of=None):
        self.target_port = target_port
        self.name_of = name_of
        self.port = port
        self.held = set()  # of (way, name); name None: everybody's
        self.delay_s = 0
        self.connections = set()
        self.accepted = []  # when each came (monotonic)
        self.passed_bytes = dict.fromkeys(BOTH, 0)
        self.server = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.run(self.listen())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    # ---- on the loop's thread ----

    async def listen(self):
        if self.server is None:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, reuse_address=True)
            self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.accepted.append(time.monotonic())
        connection = Connection(self, writer)
        self.connections.add(connection)
        try:
            first = b""
            if self.name_of:
                first = await reader.read(1 << 16)
                connection.name = self.name_of(first)
                connection.set_gates(self)
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            connection.transports.append(target_writer.transport)
            await asyncio.gather(self.pass_on(connection, TO_SERVER, reader, target_writer, first),
                                 self.pass_on(connection, TO_CLIENT, target_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(connection)
            connection.reset()

    async def pass_on(self, connection, way, reader, writer, first=b""):
        pieces = asyncio.Queue(QUEUED_PIECES_MAX)
        sender = asyncio.ensure_future(self.send(connection, way, pieces, writer))
        try:
            if first:
                await pieces.put((self.loop.time(), first))
            while True:
                piece = await reader.read(1 << 16)
                await pieces.put((self.loop.time(), piece))
                if not piece:
                    break
            await sender
        finally:
            sender.cancel()

    async def send(self, connection, way, pieces, writer):
        while True:
            since, piece = await pieces.get()
            await asyncio.sleep(max(0, since + self.delay_s - self.loop.time()))
            await connection.gates[way].wait()
            if connection.is_ended:
                return
            if not piece:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            self.passed_bytes[way] += len(piece)
            writer.write(piece)
            await writer.drain()

    async def change_held(self, change, ways, name):
        getattr(self.held, change)({(way, name) for way in ([ways] if isinstance(ways, str) else ways)})
        for connection in self.connections:
            connection.set_gates(self)

    async def close_listener(self):
        if self.server:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def reset_all(self, name):
        for connection in list(self.connections):
            if name is None or connection.name == name:
                connection.reset()

    async def end(self):
        await self.close_listener()
        await self.reset_all(None)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # ---- for tests ----

    @property
    def connection_count(self):
        return len(self.connections)

    def hold(self, ways=BOTH, name=None):
        self.run(self.change_held("update", ways, name))

    def let_go(self, ways=BOTH, name=None):
        self.run(self.change_held("difference_update", ways, name))

    def delay(self, seconds):
        self.delay_s = seconds

    def cut(self, name=None):
        self.run(self.reset_all(name))

    def refuse(self):
        """Nobody listens any more; what is connected stays."""
        self.run(self.close_listener())

    def accept(self):
        self.run(self.listen())

    def stop(self):
        if self.thread.is_alive():
            self.run(self.end())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
