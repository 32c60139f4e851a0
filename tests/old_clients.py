"""Talks to a real `bidden serve` as the clients of the old program did, and worse, with pyzmq.

`make test` runs this.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

try:
    import zmq
except ImportError:
    raise SystemExit("tests/old_clients.py needs pyzmq: run `make test`, which installs it into .venv") from None

from tests.bidden_server import BIDDEN, ROOT, Server

OLD_ENDPOINT = "tcp://127.0.0.1:5555"
REPLY_MS = 30_000
QUIET_MS = 200
MAX_REQUEST_BYTES = 64 * 1024

PING = {"command_type": "os", "command_name": "ping", "parameters": ["127.0.0.1"]}
COMPUTE = {"command_type": "compute", "expression": "(6 + 4) * 8"}


class ClientTest(unittest.TestCase):
    """A test with one server for all of its methods and any number of sockets."""

    @classmethod
    def setUpClass(cls):
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, linger=0)
        cls.server = Server("--listen", "tcp://127.0.0.1:*")
        cls.addClassCleanup(cls.server.stop)

    def connect(self, kind, identity=None, endpoint=None):
        socket = self.context.socket(kind)
        self.addCleanup(socket.close, linger=0)
        socket.rcvtimeo = socket.sndtimeo = REPLY_MS
        if identity is not None:
            socket.identity = identity
        socket.connect(endpoint or self.server.endpoint)
        return socket

    def ask(self, socket, request):
        socket.send_json(request)
        return socket.recv_json()

    def ask_bytes(self, socket, frame):
        socket.send(frame)
        return socket.recv_json()

    def assert_computes(self, socket):
        reply = self.ask(socket, COMPUTE)
        self.assertEqual((reply["status"], reply["result"]), ("success", 80))

    def assert_refused(self, reply, message):
        self.assertEqual(reply["status"], "error")
        self.assertIn(message, reply["message"])
        self.assertNotIn("result", reply)

    def assert_silent(self, socket):
        """Nothing more comes: every request has had its one reply."""
        self.assertEqual(socket.poll(QUIET_MS), 0)


class OldProgram(ClientTest):
    """What the old client did, as it did it: REQ, `send_json`, `recv_json`."""

    def test_ping(self):
        reply = self.ask(self.connect(zmq.REQ), PING)
        self.assertEqual(reply["status"], "success", reply)
        self.assertIsInstance(reply["result"], str)
        self.assertIn("127.0.0.1", reply["result"])
        self.assertEqual(reply["exit_code"], 0)
        self.assertNotIn("message", reply)

    def test_compute(self):
        reply = self.ask(self.connect(zmq.REQ), COMPUTE)
        self.assertEqual(list(reply)[:2], ["status", "result"])
        self.assertEqual((reply["status"], reply["result"]), ("success", 80))
        self.assertIsInstance(reply["result"], int)
        self.assertNotIn("message", reply)

    def test_results_keep_their_python_types(self):
        socket = self.connect(zmq.REQ)
        for expression in ("7 / 2", "7 // 2", "2 ** 100", "1 < 2", "-7 % 3", "1e5", "1e400", "0.1 + 0.2"):
            reply = self.ask(socket, {"command_type": "compute", "expression": expression})
            expected = eval(expression)
            self.assertEqual((type(reply["result"]), reply["result"]), (type(expected), expected), expression)

    def test_error_texts(self):
        socket = self.connect(zmq.REQ)
        for expression, message in {
            "2 +": "Invalid expression syntax",
            "import os": "Invalid expression syntax",
            "spam + 1": "Invalid variable name in expression",
            "__import__('os').system('id')": "Invalid",
            "1 / 0": "division by zero",
        }.items():
            reply = self.ask(socket, {"command_type": "compute", "expression": expression})
            self.assertEqual(list(reply)[:2], ["status", "message"])
            self.assert_refused(reply, message)
            if message != "Invalid":
                self.assertEqual(reply["message"], message)
        reply = self.ask(socket, {"command_type": "spam"})
        self.assertEqual((reply["status"], reply["message"]), ("error", "Invalid command type"))

    def test_the_old_port(self):
        try:
            server = Server()
        except RuntimeError as problem:
            if "in use" not in str(problem):
                raise
            print("\nSKIPPED: something else listens on port 5555, so the old port is not tested", flush=True)
            self.skipTest("port 5555 is in use")
        self.addCleanup(server.stop)
        self.assertEqual(server.endpoint, OLD_ENDPOINT)
        self.assert_computes(self.connect(zmq.REQ, endpoint=OLD_ENDPOINT))

    def test_five_clients_at_once(self):
        results = []

        def work(number):
            socket = self.connect(zmq.REQ)
            for step in range(100):
                reply = self.ask(socket, {"command_type": "compute", "expression": f"{number} * 1000 + {step}"})
                results.append(reply["result"] == number * 1000 + step)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [True] * 500)


class Dealers(ClientTest):
    """DEALER sockets, whose replies come back in the shape of their requests."""

    def exchange(self, socket, *frames):
        socket.send_multipart(frames)
        return socket.recv_multipart()

    def assert_shape(self, socket, prefix):
        frames = self.exchange(socket, *prefix, json.dumps(COMPUTE).encode())
        self.assertEqual(frames[:-1], prefix)
        self.assertEqual(json.loads(frames[-1])["result"], 80)

    def test_with_and_without_the_delimiter(self):
        socket = self.connect(zmq.DEALER)
        for prefix in ([b""], [], [b""]):
            self.assert_shape(socket, prefix)
        self.assert_silent(socket)

    def test_a_chosen_identity(self):
        for identity in (b"me", b"\x01\xff", b"x" * 255):
            socket = self.connect(zmq.DEALER, identity=identity)
            self.assert_shape(socket, [b""])
            self.assert_shape(socket, [])

    def test_two_hundred_in_flight(self):
        socket = self.connect(zmq.DEALER)
        for number in range(200):
            socket.send_json({"id": f"n-{number}", "command_type": "compute", "expression": f"{number} ** 2"})
        results = {}
        for _ in range(200):
            reply = socket.recv_json()
            results[reply["id"]] = reply["result"]
        self.assertEqual(results, {f"n-{number}": number**2 for number in range(200)})
        self.assert_silent(socket)

    def test_a_quick_request_overtakes_a_slow_one(self):
        socket = self.connect(zmq.DEALER)
        socket.send_json({**PING, "id": "slow"})
        socket.send_json({**COMPUTE, "id": "quick"})
        self.assertEqual([socket.recv_json()["id"] for _ in range(2)], ["quick", "slow"])

    def test_frames_too_many(self):
        socket = self.connect(zmq.DEALER)
        for frames, prefix in {
            (b"", b"a", b"b"): [b""],
            (b"a", b"b"): [],
            (b"a", b"", b"b", b"c"): [b"a", b""],
            (b"", b"", b""): [b""],
            tuple(b"x" for _ in range(50)): [],
        }.items():
            reply = self.exchange(socket, *frames)
            self.assertEqual(reply[:-1], prefix, frames)
            self.assert_refused(json.loads(reply[-1]), "the request")
        reply = self.exchange(socket, json.dumps(COMPUTE).encode(), b"12345678")
        self.assert_refused(json.loads(reply[-1]), "frames behind the request: 1; columns that it names: 0")
        reply = self.exchange(socket, *(b"x" for _ in range(100)))
        self.assert_refused(json.loads(reply[-1]), "a request is one frame")
        self.assert_shape(socket, [])
        self.assert_silent(socket)


class Hostile(ClientTest):
    """What is no request gets exactly one reply too, and does no harm."""

    def test_a_req_client_goes_on(self):
        socket = self.connect(zmq.REQ)
        for frame, message in {
            b"": "not a JSON object",
            b"not JSON": "not a JSON object",
            b"{not JSON}": "not JSON",
            b"\xff\xfe": "not UTF-8",
            b"x" * (MAX_REQUEST_BYTES + 1): "longer than 65536 bytes",
            b"[" * MAX_REQUEST_BYTES: "not a JSON object",
            b'{"command_type":' + b"[" * 60_000: "not JSON",
        }.items():
            self.assert_refused(self.ask_bytes(socket, frame), message)
            self.assert_computes(socket)

    def test_a_shell_is_never_asked(self):
        socket = self.connect(zmq.REQ)
        for parameter in ("127.0.0.1; id", "$(id)", "`id`", "-f", "127.0.0.1|id"):
            reply = self.ask(socket, {**PING, "parameters": [parameter]})
            self.assertEqual((reply["status"], reply["code"]), ("error", "invalid_parameters"))
        reply = self.ask(socket, {"command_type": "os", "command_name": "sh", "parameters": ["-c", "id"]})
        self.assertEqual((reply["status"], reply["code"]), ("error", "refused"))

    def test_random_frames(self):
        dice = random.Random(5555)
        socket = self.connect(zmq.DEALER)
        for number in range(400):
            frame = random_frame(dice)
            socket.send(frame)
            reply = socket.recv_json()
            self.assertIn(reply["status"], ("success", "error"), (number, frame))
            self.assertIn("result" if reply["status"] == "success" else "message", reply, (number, frame))
        self.assert_silent(socket)
        self.assert_computes(socket)

    def test_clients_that_leave_without_their_reply(self):
        for _ in range(50):
            socket = self.context.socket(zmq.DEALER)
            socket.connect(self.server.endpoint)
            socket.send_json(COMPUTE)
            socket.close(linger=1000)
        self.assert_computes(self.connect(zmq.REQ))


class End(ClientTest):
    """The end of the server."""

    def test_what_runs_is_answered_before_the_end(self):
        server = Server("--listen", "tcp://127.0.0.1:*")
        self.addCleanup(server.process.kill)
        socket = self.connect(zmq.DEALER, endpoint=server.endpoint)
        socket.send_json({**PING, "parameters": ["-c", "2", "127.0.0.1"]})
        # Whatever is answered after it, the server has taken both.
        self.assert_computes(socket)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(socket.recv_json()["exit_code"], 0)

    def test_a_server_that_met_all_of_it_stops_in_order(self):
        server = Server("--listen", "tcp://127.0.0.1:*")
        self.addCleanup(server.process.kill)
        dice = random.Random(1)
        socket = self.connect(zmq.DEALER, endpoint=server.endpoint)
        for _ in range(100):
            socket.send(random_frame(dice))
            socket.recv_json()
        self.assertIsNone(server.process.poll(), "the server lives")
        self.assertEqual(server.stop(), 0)


def random_frame(dice):
    """Bytes of chance, or a request in which chance has changed, lost or doubled something."""
    if dice.random() < 0.3:
        return random_bytes(dice, 300)
    requests = [COMPUTE, {**COMPUTE, "id": "a", "timeout": 1, "variables": {"x": 1}}, {**PING, "parameters": ["-"]}]
    frame = bytearray(json.dumps(dice.choice(requests)).encode())
    for _ in range(dice.randrange(1, 6)):
        place = dice.randrange(len(frame))
        frame[place : place + dice.randrange(3)] = random_bytes(dice, 3)
    return bytes(frame)


def random_bytes(dice, limit):
    # At least one: an empty message is no request.
    return bytes(dice.choices(range(256), k=dice.randrange(1, limit)))


class DocumentTest(ClientTest):
    """The Python of the documents, run as it stands there but for the port."""

    DOCUMENTS = ("README.md", "docs/protocol.md")

    def test_the_examples_run(self):
        examples = 0
        for document in self.DOCUMENTS:
            text = (ROOT / document).read_text()
            for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
                with self.subTest(document=document, example=examples):
                    program = example.replace(OLD_ENDPOINT, self.server.endpoint)
                    done = subprocess.run(
                        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
                    )
                    self.assertEqual(done.returncode, 0, done.stderr)
                examples += 1
        self.assertGreaterEqual(examples, 2)


if __name__ == "__main__":
    unittest.main()
