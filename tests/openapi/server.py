"""Runs a command with a real server and a small tracker: `server.py PROGRAM COMMAND…`.

The server has a new database in a temporary folder and may send postbacks to this machine. The tracker accepts every
request, and lists at `/received` the queries that it got. The command finds both in its environment: POSTRIDER_URL,
POSTRIDER_KEY and TRACKER_URL.
"""

import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

KEY = "a-key-for-the-checks-of-the-description"
# Long waits end only what hangs, also on a slow machine.
START_SECS_MAX = 600
STOP_SECS_MAX = 120
READY = re.compile(r"Postrider is ready.*?\b(127\.0\.0\.1:\d+).*\n")


def main():
    # The default action of SIGTERM would leave the server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program, command = sys.argv[1], sys.argv[2:]
    tracker = start_tracker()
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "log")
        server = start_server(program, folder, log)
        try:
            environment = {
                "POSTRIDER_URL": f"http://{address_of(server, log)}",
                "POSTRIDER_KEY": KEY,
                "TRACKER_URL": f"http://127.0.0.1:{tracker.server_port}",
            }
            code = subprocess.run(command, env={**os.environ, **environment}).returncode
            if server.poll() is not None:
                print(log.read_text()[-4000:], file=sys.stderr)
                sys.exit("the server ended before the command")
        finally:
            stop(server)
    sys.exit(code)


def start_server(program, folder, log):
    """Starts the server without any setting of the shell. The system chooses its port, so no other program has it."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("POSTRIDER_", "DATABASE_"))}
    settings |= {
        "POSTRIDER_ADMIN_API_KEY": KEY,
        "POSTRIDER_DATA_DIR": os.path.join(folder, "data"),
        "POSTRIDER_EGRESS_ALLOW": "127.0.0.0/8",
        "POSTRIDER_LISTEN": "127.0.0.1:0",
        "POSTRIDER_TESTS_PER_MINUTE": "100000",
    }
    with open(log, "w") as output:
        return subprocess.Popen([os.path.abspath(program)], cwd=folder, env=settings, stdout=output, stderr=output)


def address_of(server, log):
    """The address in the line that the server logs when it is ready."""
    deadline = time.monotonic() + START_SECS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        if ready := READY.search(log.read_text()):
            return ready.group(1)
        time.sleep(0.1)
    sys.exit("the server did not start:\n" + log.read_text())


def stop(server):
    server.terminate()
    try:
        server.wait(STOP_SECS_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


class Tracker(http.server.BaseHTTPRequestHandler):
    received = []

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        if parts.path == "/received":
            body = json.dumps(self.received).encode()
        else:
            self.received.append(dict(urllib.parse.parse_qsl(parts.query)))
            body = b"OK"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def start_tracker():
    tracker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    threading.Thread(target=tracker.serve_forever, daemon=True).start()
    return tracker


if __name__ == "__main__":
    main()
