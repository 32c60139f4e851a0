"""Return addresses of RFC 28 with pyzmq: REQ in all its modes, DEALER with and without delimiter, and devices between
client and server.

`make test` runs this.
"""

import asyncio
import itertools
import json
import struct
import tempfile
import threading
import unittest

try:
    import zmq
    import zmq.asyncio
except ImportError:
    raise SystemExit("tests/routed_clients.py needs pyzmq: run `make test`, which installs it into .venv") from None

from tests.bidden_server import Server

REPLY_MS = 30_000
QUIET_MS = 200
# Every first byte that a request id of REQ can have, also that of JSON.
REQUESTS = 300

COMPUTE = {"command_type": "compute", "expression": "6 * 7"}
COLUMN = {"command_type": "compute", "expression": "x * 2", "columns": ["x"]}
PING = {"command_type": "os", "command_name": "ping", "parameters": ["-c", "1", "127.0.0.1"]}
REQ_MODES = [dict(zip(("req_correlate", "req_relaxed"), values)) for values in itertools.product((0, 1), repeat=2)]


class Device:
    """A `zmq.proxy` between a ROUTER, where clients connect, and a DEALER, which connects to the next."""

    def __init__(self, context, endpoint, **options):
        self.front, self.back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        for name, value in options.items():
            setattr(self.back, name, value)
        port = self.front.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.back.connect(endpoint)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            zmq.proxy(self.front, self.back)
        except zmq.ContextTerminated:
            pass
        finally:
            self.front.close(linger=0)
            self.back.close(linger=0)


class RoutedClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--listen", "tcp://127.0.0.1:*")
        cls.addClassCleanup(cls.server.stop)
        cls.devices = zmq.Context()
        cls.addClassCleanup(cls.devices.term)
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, linger=0)
        near = Device(cls.devices, cls.server.endpoint)
        cls.ways = {
            "directly": cls.server.endpoint,
            "one device": near.endpoint,
            "two devices": Device(cls.devices, near.endpoint, identity=b"far").endpoint,
        }

    def connect(self, kind, endpoint=None, **options):
        socket = self.context.socket(kind)
        self.addCleanup(socket.close, linger=0)
        socket.rcvtimeo = socket.sndtimeo = REPLY_MS
        for name, value in options.items():
            setattr(socket, name, value)
        socket.connect(endpoint or self.server.endpoint)
        return socket

    def assert_silent(self, socket):
        self.assertEqual(socket.poll(QUIET_MS), 0)

    def test_a_req_in_every_mode_gets_its_replies(self):
        for endpoint in self.ways.values():
            for mode in REQ_MODES:
                socket = self.connect(zmq.REQ, endpoint, **mode)
                for number in range(REQUESTS):
                    socket.send_json({"command_type": "compute", "expression": f"{number} * 2"})
                    self.assertEqual(socket.recv_json()["result"], number * 2, (endpoint, mode))
                socket.send(b"")
                self.assertEqual(socket.recv_json()["code"], "invalid_request")
                socket.send_json(PING)
                self.assertEqual(socket.recv_json()["exit_code"], 0)

    def test_a_req_that_may_ask_again_gets_the_last_reply(self):
        for endpoint in self.ways.values():
            socket = self.connect(zmq.REQ, endpoint, req_correlate=1, req_relaxed=1)
            for number in range(20):
                socket.send_json({"command_type": "compute", "expression": f"{number}"})
            self.assertEqual(socket.recv_json()["result"], 19)
            socket.send_json(COMPUTE)
            self.assertEqual(socket.recv_json()["result"], 42)

    def test_columns_arrive_whole_and_empty(self):
        for endpoint in self.ways.values():
            for mode in REQ_MODES:
                socket = self.connect(zmq.REQ, endpoint, **mode)
                for numbers in ((1.0, 2.0, 3.0), (), (0.5,)):
                    column = struct.pack(f"<{len(numbers)}d", *numbers)
                    socket.send_multipart([json.dumps(COLUMN).encode(), column])
                    reply, doubled = socket.recv_multipart()
                    self.assertEqual(json.loads(reply)["rows"], len(numbers), (endpoint, mode))
                    self.assertEqual(struct.unpack(f"<{len(numbers)}d", doubled), tuple(2 * x for x in numbers))

    def test_a_dealer_gets_back_what_it_put_before_its_request(self):
        column = json.dumps(COLUMN).encode()
        for endpoint in self.ways.values():
            socket = self.connect(zmq.DEALER, endpoint)
            prefixes = [[b""], [b"a", b""], [b"\0\1\2\3\4", b"{\0\0\0", b""], [b"{}", b""], [b'{"a":1}', b""]]
            if endpoint == self.server.endpoint:
                prefixes.append([])
            for prefix in prefixes:
                socket.send_multipart([*prefix, json.dumps(COMPUTE).encode()])
                *back, reply = socket.recv_multipart()
                self.assertEqual((back, json.loads(reply)["result"]), (prefix, 42))
                for rows in (0, 2):
                    socket.send_multipart([*prefix, column, bytes(8 * rows)])
                    *back, reply, doubled = socket.recv_multipart()
                    self.assertEqual((back, json.loads(reply)["rows"], len(doubled)), (prefix, rows, 8 * rows))
                socket.send_multipart([*prefix, b"no request"])
                *back, reply = socket.recv_multipart()
                self.assertEqual((back, json.loads(reply)["code"]), (prefix, "invalid_request"))
            self.assert_silent(socket)

    def test_a_dealer_behind_devices_streams(self):
        for endpoint in self.ways.values():
            socket = self.connect(zmq.DEALER, endpoint)
            socket.send_multipart([b"me", b"", json.dumps({**PING, "stream": True}).encode()])
            printed = b""
            while True:
                *back, header, output = self.receive(socket)
                self.assertEqual(back, [b"me", b""])
                if "event" not in header:
                    break
                printed += output
            self.assertEqual(header["streamed"]["stdout"], len(printed))

    def receive(self, socket):
        """The envelope, the JSON of the next message, and the bytes behind it."""
        frames = socket.recv_multipart()
        place = frames.index(b"") + 1
        header, output = json.loads(frames[place]), b"".join(frames[place + 1 :])
        return [*frames[:place], header, output]

    def test_a_probe_is_no_request(self):
        for endpoint in self.ways.values():
            for kind, prefix in ((zmq.REQ, []), (zmq.DEALER, [b""])):
                records = len(self.server.log.read_text().splitlines())
                socket = self.connect(kind, endpoint, probe_router=1)
                self.assertEqual(socket.poll(QUIET_MS), 0)
                socket.send_multipart([*prefix, json.dumps(COMPUTE).encode()])
                self.assertEqual(json.loads(socket.recv_multipart()[-1])["result"], 42)
                self.assert_silent(socket)
                for record in self.server.log.read_text().splitlines()[records:]:
                    self.assertIn('"expression": "6 * 7"', record)

    def test_many_clients_of_one_device_get_each_their_own(self):
        for endpoint in self.ways.values():
            sockets = [self.connect(zmq.REQ, endpoint, **mode) for mode in REQ_MODES * 5]
            for number, socket in enumerate(sockets):
                socket.send_json({"command_type": "compute", "expression": f"{number} + 1000"})
            for number, socket in enumerate(sockets):
                self.assertEqual(socket.recv_json()["result"], number + 1000)

    def test_asyncio(self):
        async def ask(endpoint, number, mode):
            socket = context.socket(zmq.REQ)
            for name, value in mode.items():
                setattr(socket, name, value)
            socket.rcvtimeo = REPLY_MS
            socket.connect(endpoint)
            try:
                for step in range(10):
                    await socket.send_json({"command_type": "compute", "expression": f"{number} * {step}"})
                    self.assertEqual((await socket.recv_json())["result"], number * step)
            finally:
                socket.close(linger=0)

        async def ask_all(endpoint):
            await asyncio.gather(*(ask(endpoint, number, mode) for number, mode in enumerate(REQ_MODES * 5)))

        context = zmq.asyncio.Context()
        self.addCleanup(context.destroy, linger=0)
        for endpoint in self.ways.values():
            asyncio.run(ask_all(endpoint))


class LocalClients(unittest.TestCase):
    """The same server on a Unix socket, where the kernel says who connects."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.server = Server("--listen", f"ipc://{cls.directory.name}/bidden.sock")
        cls.addClassCleanup(cls.server.stop)
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, linger=0)

    def connect(self, kind, **options):
        socket = self.context.socket(kind)
        self.addCleanup(socket.close, linger=0)
        socket.rcvtimeo = socket.sndtimeo = REPLY_MS
        for name, value in options.items():
            setattr(socket, name, value)
        socket.connect(self.server.endpoint)
        return socket

    def test_a_req_in_every_mode_gets_its_replies(self):
        for mode in REQ_MODES:
            socket = self.connect(zmq.REQ, **mode)
            for number in range(REQUESTS):
                socket.send_json({"command_type": "compute", "expression": f"{number} * 2"})
                self.assertEqual(socket.recv_json()["result"], number * 2)
            socket.send_json(PING)
            self.assertEqual(socket.recv_json()["exit_code"], 0)

    def test_clients_that_declare_the_same_routing_id_get_each_their_own(self):
        sockets = [self.connect(zmq.DEALER, identity=b"same") for _ in range(10)]
        for number, socket in enumerate(sockets):
            socket.send_json({"command_type": "compute", "expression": f"{number}"})
        for number, socket in enumerate(sockets):
            self.assertEqual(socket.recv_json()["result"], number)

    def test_a_dealer_streams_and_a_req_does_not(self):
        request = json.dumps({**PING, "stream": True}).encode()
        socket = self.connect(zmq.DEALER)
        socket.send_multipart([b"", request])
        events = 0
        while "event" in json.loads((message := socket.recv_multipart())[1]):
            events += 1
        self.assertGreater(events, 1)
        self.assertEqual(json.loads(message[1])["exit_code"], 0)
        req = self.connect(zmq.REQ)
        req.send(request)
        self.assertEqual(req.recv_json()["code"], "invalid_request")

    def test_large_columns_pass(self):
        socket = self.connect(zmq.REQ)
        socket.send_multipart([json.dumps(COLUMN).encode(), struct.pack("<d", 0.5) * 500_000])
        reply, column = socket.recv_multipart()
        self.assertEqual((json.loads(reply)["rows"], column), (500_000, struct.pack("<d", 1.0) * 500_000))

    def test_other_kinds_of_sockets_are_refused(self):
        for kind in (zmq.PUSH, zmq.SUB, zmq.PAIR):
            socket = self.context.socket(kind)
            self.addCleanup(socket.close, linger=0)
            monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            socket.connect(self.server.endpoint)
            self.addCleanup(monitor.close, linger=0)
            self.assertEqual(monitor.poll(QUIET_MS), 0)
            socket.disable_monitor()


if __name__ == "__main__":
    unittest.main()
