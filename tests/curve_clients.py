"""CURVE between bidden and pyzmq, both ways round: right keys work, and everything else does not.

`make test` runs this.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

try:
    import zmq
    import zmq.auth
    from zmq.auth.thread import ThreadAuthenticator
except ImportError:
    raise SystemExit("tests/curve_clients.py needs pyzmq: run `make test`, which installs it into .venv") from None

from tests.bidden_server import BIDDEN, ROOT, Server

REPLY_MS = 30_000
REFUSED_MS = 1_500
COMPUTE = {"command_type": "compute", "expression": "(6 + 4) * 8"}
REPLY = {"status": "success", "result": 80, "type": "int"}


def bidden(home, *arguments):
    environment = {**os.environ, "HOME": str(home), "USER": "ann"}
    for name in ("XDG_CONFIG_HOME", "BIDDEN_CONFIG", "BIDDEN_TO"):
        environment.pop(name, None)
    return subprocess.run([BIDDEN, *arguments], env=environment, capture_output=True, text=True, timeout=60)


class CurveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, linger=0)
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.home = Path(cls.directory.name)


class PyzmqAgainstBidden(CurveTest):
    """A bidden that `bidden init` made, with a user whose certificate pyzmq made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        made = bidden(cls.home, "init", cls.home / "server", "--host", "here")
        assert made.returncode == 0, made.stderr
        cls.certificate, secret = zmq.auth.create_certificates(cls.home, "bob")
        cls.keys = zmq.auth.load_certificate(secret)
        cls.server_key, _ = zmq.auth.load_certificate(cls.home / "server/server.key")
        configuration = cls.home / "server/bidden.toml"
        text = configuration.read_text().replace("tcp://127.0.0.1:5555", "tcp://127.0.0.1:*")
        bob = f"\n[users.bob]\ncertificate = '{cls.certificate}'\nroles = ['operator']\n"
        configuration.write_text(text + bob)
        cls.server = Server("--config", configuration)
        cls.addClassCleanup(cls.server.stop)

    def connect(self, kind, keys=None, server_key=None):
        socket = self.context.socket(kind)
        self.addCleanup(socket.close, linger=0)
        socket.sndtimeo, socket.rcvtimeo = REPLY_MS, REPLY_MS
        if server_key is not None:
            socket.curve_publickey, socket.curve_secretkey = keys
            socket.curve_serverkey = server_key
        socket.connect(self.server.endpoint)
        return socket

    def assert_nothing(self, socket):
        """Neither an answer nor a word of why, from a server that answers who may ask."""
        socket.send_json(COMPUTE)
        self.assertEqual(socket.poll(REFUSED_MS), 0)
        right = self.connect(zmq.REQ, self.keys, self.server_key)
        right.send_json(COMPUTE)
        self.assertEqual(right.recv_json()["result"], 80)

    def test_req_and_dealer_work_with_the_right_keys(self):
        for kind in (zmq.REQ, zmq.DEALER):
            socket = self.connect(kind, self.keys, self.server_key)
            socket.send_json(COMPUTE)
            self.assertEqual(socket.recv_json()["result"], 80)
            socket.send_json({"command_type": "os", "command_name": "uname", "parameters": ["-s"]})
            self.assertEqual(socket.recv_json()["result"], "Linux\n")
            socket.send_json({"command_type": "describe"})
            self.assertEqual(socket.recv_json()["result"]["user"], "bob")

    def test_many_clients_at_once_each_get_their_own(self):
        right = []

        def work(number):
            socket = self.connect(zmq.REQ, self.keys, self.server_key)
            for step in range(50):
                socket.send_json({"command_type": "compute", "expression": f"{number} * 1000 + {step}"})
                right.append(socket.recv_json()["result"] == number * 1000 + step)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(right, [True] * 400)

    def test_a_wrong_server_key_gets_nothing(self):
        other, _ = zmq.curve_keypair()
        self.assert_nothing(self.connect(zmq.DEALER, self.keys, other))

    def test_an_unknown_key_gets_nothing(self):
        self.assert_nothing(self.connect(zmq.DEALER, zmq.curve_keypair(), self.server_key))

    def test_a_claimed_key_without_its_secret_gets_nothing(self):
        _, other_secret = zmq.curve_keypair()
        self.assert_nothing(self.connect(zmq.DEALER, (self.keys[0], other_secret), self.server_key))

    def test_no_curve_gets_nothing(self):
        self.assert_nothing(self.connect(zmq.DEALER))

    def test_plain_gets_nothing(self):
        socket = self.context.socket(zmq.DEALER)
        self.addCleanup(socket.close, linger=0)
        socket.plain_username, socket.plain_password = b"ann", b"secret"
        socket.connect(self.server.endpoint)
        self.assert_nothing(socket)

    def test_a_declared_routing_id_gets_nothing(self):
        socket = self.context.socket(zmq.DEALER)
        self.addCleanup(socket.close, linger=0)
        socket.identity = b"somebody"
        socket.curve_publickey, socket.curve_secretkey = self.keys
        socket.curve_serverkey = self.server_key
        socket.connect(self.server.endpoint)
        self.assert_nothing(socket)

    def test_the_example_of_the_documents_works(self):
        text = (ROOT / "docs/keys.md").read_text()
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        key = re.search(r'b"(.{40})"', example)[1]
        for name, value in {
            "bob.key_secret": str(self.home / "bob.key_secret"),
            key: self.server_key.decode(),
            "tcp://web1.example.org:5555": self.server.endpoint,
        }.items():
            self.assertIn(name, example)
            example = example.replace(name, value)
        done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_pyzmq_reads_the_certificates_of_bidden(self):
        name = self.home / "laptop"
        self.assertEqual(bidden(self.home, "keygen", name).returncode, 0)
        public, secret = zmq.auth.load_certificate(f"{name}.key_secret")
        self.assertEqual(zmq.curve_public(secret), public)
        self.assertEqual(zmq.auth.load_certificate(f"{name}.key"), (public, None))


class BiddenAgainstPyzmq(CurveTest):
    """`bidden compute` with a pyzmq server that lets one key in."""

    def serve(self, authenticate):
        """A ROUTER that answers everything; `authenticate` sets its mechanism. Returns its endpoint."""
        socket = self.context.socket(zmq.ROUTER)
        authenticate(socket)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        stop = self.context.socket(zmq.PAIR)
        stop.bind(f"inproc://stop-{port}")

        def answer():
            stopped = self.context.socket(zmq.PAIR)
            stopped.connect(f"inproc://stop-{port}")
            poller = zmq.Poller()
            poller.register(socket, zmq.POLLIN)
            poller.register(stopped, zmq.POLLIN)
            while stopped not in (ready := dict(poller.poll())):
                if socket in ready:
                    *envelope, _ = socket.recv_multipart()
                    socket.send_multipart([*envelope, json.dumps(REPLY).encode()])
            for used in (socket, stopped):
                used.close(linger=0)

        thread = threading.Thread(target=answer)
        thread.start()
        self.addCleanup(stop.close, linger=0)
        self.addCleanup(thread.join)
        self.addCleanup(stop.send, b"")
        return f"tcp://127.0.0.1:{port}"

    def curve_server(self, admitted):
        """A CURVE server as pyzmq's documentation sets one up. Returns its endpoint and its public key."""
        public, secret = zmq.curve_keypair()
        keys = tempfile.TemporaryDirectory()
        self.addCleanup(keys.cleanup)
        for number, key in enumerate(admitted):
            Path(keys.name, f"{number}.key").write_text(f'metadata\ncurve\n    public-key = "{key}"\n')
        authenticator = ThreadAuthenticator(self.context)
        authenticator.start()
        self.addCleanup(authenticator.stop)
        authenticator.configure_curve(domain="*", location=keys.name)

        def authenticate(socket):
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = public, secret

        return self.serve(authenticate), public.decode()

    def person(self):
        """A home with a key; returns it and the public key."""
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        directory = Path(home.name, ".config/bidden")
        directory.mkdir(parents=True)
        made = bidden(home.name, "keygen", directory / "id")
        return Path(home.name), made.stdout.strip()

    def compute(self, home, endpoint, server_key):
        (home / ".config/bidden/hosts.toml").write_text(
            f"[hosts.there]\nendpoint = '{endpoint}'\nserver_key = '{server_key}'\nkey = 'id.key_secret'\n"
        )
        return bidden(home, "compute", "--to", "there", "--connect-timeout", "3", "(6 + 4) * 8")

    def test_the_right_keys_work(self):
        home, key = self.person()
        endpoint, server_key = self.curve_server([key])
        done = self.compute(home, endpoint, server_key)
        self.assertEqual((done.returncode, done.stdout), (0, "80\n"), done.stderr)

    def test_a_wrong_server_key_does_not(self):
        home, key = self.person()
        endpoint, _ = self.curve_server([key])
        other, _ = zmq.curve_keypair()
        done = self.compute(home, endpoint, other.decode())
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("it has another key than the one expected", done.stderr)

    def test_a_key_that_is_not_admitted_does_not(self):
        home, _ = self.person()
        endpoint, server_key = self.curve_server([])
        done = self.compute(home, endpoint, server_key)
        self.assertEqual((done.returncode, done.stdout), (126, ""), done.stderr)
        self.assertIn("does not let your key in", done.stderr)

    def test_a_plain_text_server_does_not(self):
        home, _ = self.person()
        server_key, _ = zmq.curve_keypair()
        endpoint = self.serve(lambda socket: None)
        done = self.compute(home, endpoint, server_key.decode())
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("or speaks plain text", done.stderr)


if __name__ == "__main__":
    unittest.main()
