"""Streams, leaves and finds again what `bidden serve` runs, with pyzmq: what docs/protocol.md says of jobs, from Python.

`make test` runs this.
"""

import json
import time
import unittest

try:
    import zmq
except ImportError:
    raise SystemExit("tests/streaming_clients.py needs pyzmq: run `make test`, which installs it into .venv") from None

from tests.bidden_server import Server

REPLY_MS = 30_000

PING = {"command_type": "os", "command_name": "ping", "parameters": ["-c", "2", "127.0.0.1"]}
LONG = {"command_type": "os", "command_name": "ping", "parameters": ["-c", "20", "127.0.0.1"]}


class StreamingClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, linger=0)
        cls.server = Server("--listen", "tcp://127.0.0.1:*")
        cls.addClassCleanup(cls.server.stop)

    def connect(self, kind=zmq.DEALER):
        socket = self.context.socket(kind)
        self.addCleanup(socket.close, linger=0)
        socket.rcvtimeo = socket.sndtimeo = REPLY_MS
        socket.connect(self.server.endpoint)
        return socket

    def ask(self, socket, request):
        socket.send_json(request)
        return socket.recv_json()

    def follow(self, socket):
        """The headers of all events, the bytes of each stream, and the reply."""
        headers, output = [], {"stdout": b"", "stderr": b""}
        while True:
            frames = socket.recv_multipart()
            message = json.loads(frames[0])
            if "event" not in message:
                self.assertEqual(len(frames), 1)
                return headers, output, message
            self.assertEqual(len(frames), 2)
            self.assertEqual(message["seq"], len(headers))
            headers.append(message)
            if message["event"] == "started":
                self.assertEqual(frames[1], b"")
            else:
                self.assertEqual(message["offset"], len(output[message["event"]]))
                output[message["event"]] += frames[1]

    def assert_streamed(self, output, reply):
        self.assertEqual((reply["status"], reply["exit_code"]), ("success", 0))
        self.assertEqual((reply["result"], reply["stderr"]), ("", ""))
        self.assertEqual(reply["streamed"], {name: len(printed) for name, printed in output.items()})
        self.assertIn(b"2 packets transmitted, 2 received", output["stdout"])

    def test_output_comes_line_by_line_and_the_reply_behind_it(self):
        socket = self.connect()
        socket.send_json({**PING, "id": "a", "stream": True})
        headers, output, reply = self.follow(socket)
        self.assertEqual(headers[0]["event"], "started")
        # Between the two packets lies a second: they cannot have come at once.
        self.assertGreaterEqual(len(headers), 3)
        self.assertEqual({header["id"] for header in headers}, {"a"})
        self.assertEqual({header["job"] for header in headers}, {reply["job"]})
        self.assert_streamed(output, reply)

    def test_streams_of_one_socket_are_told_apart_and_a_delimiter_comes_back(self):
        socket = self.connect()
        for name in ("b1", "b2"):
            socket.send_multipart([b"", json.dumps({**PING, "id": name, "stream": True}).encode()])
        printed, replies = {"b1": b"", "b2": b""}, {}
        while len(replies) < 2:
            delimiter, header, *output = socket.recv_multipart()
            self.assertEqual(delimiter, b"")
            message = json.loads(header)
            if "event" in message:
                printed[message["id"]] += output[0]
            else:
                replies[message["id"]] = message
        for name, reply in replies.items():
            self.assertEqual(sum(reply["streamed"].values()), len(printed[name]))

    def test_a_req_cannot_stream_and_is_told_so(self):
        socket = self.connect(zmq.REQ)
        reply = self.ask(socket, {**PING, "stream": True})
        self.assertEqual((reply["status"], reply["code"]), ("error", "invalid_request"))
        self.assertEqual(self.ask(socket, {"command_type": "compute", "expression": "1"})["result"], 1)

    def test_a_job_is_left_and_found_again(self):
        socket = self.connect()
        detached = self.ask(socket, {**PING, "detach": True})
        self.assertEqual((detached["state"], detached["result"]), ("running", None))
        job = detached["job"]
        other = self.connect()
        other.send_json({"command_type": "result", "job": job, "stream": True})
        _, output, reply = self.follow(other)
        self.assertEqual(reply["job"], job)
        self.assert_streamed(output, reply)
        kept = self.ask(socket, {"command_type": "result", "job": job})
        self.assertEqual(kept["result"].encode(), output["stdout"])
        self.assertIn(job, [each["job"] for each in self.ask(socket, {"command_type": "jobs"})["result"]])

    def test_a_cancelled_job_says_so_to_whoever_waits(self):
        socket, other = self.connect(), self.connect()
        socket.send_json({**LONG, "stream": True})
        job = json.loads(socket.recv_multipart()[0])["job"]
        began = time.monotonic()
        cancelled = self.ask(other, {"command_type": "cancel", "job": job})
        self.assertEqual((cancelled["result"]["state"], cancelled["result"]["code"]), ("ended", "cancelled"))
        while True:
            message = json.loads(socket.recv_multipart()[0])
            if "event" not in message:
                break
        self.assertEqual((message["status"], message["code"]), ("error", "cancelled"))
        self.assertLess(time.monotonic() - began, 15, "it would have taken 20 s")

    def test_the_same_id_on_a_new_connection_is_the_same_job(self):
        first = self.connect()
        first.send_json({**PING, "id": "once", "stream": True})
        job = json.loads(first.recv_multipart()[0])["job"]
        first.close(linger=0)
        second = self.connect()
        second.send_json({**PING, "id": "once", "stream": True})
        _, output, reply = self.follow(second)
        self.assertEqual(reply["job"], job)
        self.assert_streamed(output, reply)
        conflict = self.ask(second, {**LONG, "id": "once"})
        self.assertEqual((conflict["status"], conflict["code"]), ("error", "id_conflict"))


if __name__ == "__main__":
    unittest.main()
