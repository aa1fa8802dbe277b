"""Runs a command with a real server and a small tracker: `server.py PROGRAM COMMAND…`.

The server has a new database in a temporary folder and may send postbacks to this machine. The tracker accepts every
request, and lists at `/received` the queries that it got. The command finds both in its environment: POSTRIDER_URL,
POSTRIDER_KEY and TRACKER_URL.
"""

import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

KEY = "a-key-for-the-checks-of-the-description"
START_SECS_MAX = 120
PORT_TRIES = 3


def main():
    program, command = sys.argv[1], sys.argv[2:]
    tracker = start_tracker()
    with tempfile.TemporaryDirectory() as folder:
        server, url = start_ready_server(program, pathlib.Path(folder))
        try:
            environment = {
                "POSTRIDER_URL": url,
                "POSTRIDER_KEY": KEY,
                "TRACKER_URL": f"http://127.0.0.1:{tracker.server_port}",
            }
            code = subprocess.run(command, env={**os.environ, **environment}).returncode
            if server.poll() is not None:
                print(pathlib.Path(folder, "log").read_text()[-4000:], file=sys.stderr)
                sys.exit("the server ended before the command")
        finally:
            server.terminate()
            server.wait()
    sys.exit(code)


def start_ready_server(program, folder):
    """Another program can take the free port before the server does, so there are several tries."""
    for _ in range(PORT_TRIES):
        url = f"http://127.0.0.1:{free_port()}"
        server = start_server(program, url, folder)
        if is_ready(server, url):
            return server, url
        server.kill()
        server.wait()
    sys.exit("the server did not start:\n" + (folder / "log").read_text())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_server(program, url, folder):
    """Starts the server without any setting of the shell."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("POSTRIDER_", "DATABASE_"))}
    settings |= {
        "POSTRIDER_ADMIN_API_KEY": KEY,
        "POSTRIDER_DATA_DIR": str(folder / "data"),
        "POSTRIDER_EGRESS_ALLOW": "127.0.0.0/8",
        "POSTRIDER_LISTEN": url.removeprefix("http://"),
        "POSTRIDER_LOG": "warn",
        "POSTRIDER_TESTS_PER_MINUTE": "100000",
    }
    with open(folder / "log", "w") as log:
        return subprocess.Popen([os.path.abspath(program)], cwd=folder, env=settings, stdout=log, stderr=log)


def is_ready(server, url):
    deadline = time.monotonic() + START_SECS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return True
        except OSError:
            time.sleep(0.1)
    return False


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
