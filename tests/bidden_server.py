"""A real `bidden serve`, for the tests in Python. BIDDEN_BIN names the program; without it target/debug/bidden is taken."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIDDEN = Path(os.environ.get("BIDDEN_BIN") or ROOT / "target/debug/bidden").absolute()
START_SECONDS = 30


class Server:
    """One `bidden serve`, started when it is made and gone after `stop`."""

    def __init__(self, *options):
        self.directory = tempfile.TemporaryDirectory()
        self.log = Path(self.directory.name, "server.log")
        command = [BIDDEN, "serve", *options, "--log", self.log]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        first = self.process.stderr.readline()
        watchdog.cancel()
        listens = re.search(r" listens on ((?:tcp|ipc)://\S+)", first)
        # What comes later is read so that the server never waits for it.
        self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reader.start()
        if listens is None:
            self.stop()
            raise RuntimeError(f"bidden did not say where it listens but: {first.strip()}")
        self.endpoint = listens[1]

    def stop(self):
        """Ends the server in order and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            self.process.stderr.close()
            self.directory.cleanup()
