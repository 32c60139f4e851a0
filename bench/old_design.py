"""The old design, rebuilt to be measured: never run it where others can reach it.

A ROUTER frontend, a DEALER backend on inproc, zmq.proxy between them, five REP workers, eval for
computations, a shell for commands, and the logging module with three lines a request.
"""

import argparse
import logging
import os
import sys
import threading

import zmq

WORKERS = 5
BACKEND = "inproc://backend"
NAMES = {"abs": abs, "min": min, "max": max, "round": round}


def compute(expression):
    """Evaluate an arithmetic expression after looking at the names in it."""
    try:
        code = compile(expression, "<string>", "eval")
    except SyntaxError:
        raise ValueError("Invalid expression syntax") from None
    for name in code.co_names:
        if name not in NAMES:
            raise ValueError("Invalid variable name in expression")
    return eval(code, {"__builtins__": {}}, NAMES)


def run(command_name, parameters):
    """Run a command through the shell and return what it printed."""
    return os.popen(" ".join([command_name, *parameters])).read()


def process(request):
    """Answer one decoded request."""
    command_type = request.get("command_type")
    try:
        if command_type == "os":
            logging.info("Executing OS command: %s", request["command_name"])
            result = run(request["command_name"], request.get("parameters", []))
        elif command_type == "compute":
            logging.info("Evaluating expression: %s", request["expression"])
            result = compute(request["expression"])
        else:
            return {"status": "error", "message": "Invalid command type"}
    except Exception as error:
        return {"status": "error", "message": str(error)}
    return {"status": "success", "result": result}


def work(context):
    """Serve requests on one REP socket until the context ends."""
    socket = context.socket(zmq.REP)
    socket.connect(BACKEND)
    while True:
        try:
            request = socket.recv_json()
            logging.info("Received request: %s", request)
            reply = process(request)
            logging.info("Sent reply: %s", reply)
            socket.send_json(reply)
        except zmq.ContextTerminated:
            return


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=5555, help="0 picks a free one")
    arguments.add_argument("--log", default="server.log")
    options = arguments.parse_args()
    logging.basicConfig(
        filename=options.log,
        level=logging.INFO,
        format="%(asctime)s - %(levelname)s - %(message)s",
    )

    context = zmq.Context()
    frontend = context.socket(zmq.ROUTER)
    frontend.bind(f"tcp://127.0.0.1:{options.port or '*'}")
    backend = context.socket(zmq.DEALER)
    backend.bind(BACKEND)
    for _ in range(WORKERS):
        threading.Thread(target=work, args=(context,), daemon=True).start()
    endpoint = frontend.getsockopt_string(zmq.LAST_ENDPOINT)
    print(f"old design listening on {endpoint}", file=sys.stderr, flush=True)
    zmq.proxy(frontend, backend)


if __name__ == "__main__":
    main()
