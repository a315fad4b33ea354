"""An engine that fails on demand: it answers, hangs, dies, breaks off, or sends pings for ever.

with StandInEngine() as engine:
    engine.mode = "hang"
    engine.stop(); engine.start()       # at the same port
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.scripted import events

WORDS = "It renews every year [1]."
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "stand-in",
    "content": [{"type": "text", "text": WORDS}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 100, "output_tokens": 10},
}


class StandInEngine:
    """Speaks the Messages API on loopback; `mode` says what happens to the next requests."""

    def __init__(self):
        self.mode, self.asked, self.port = "answer", 0, 0
        self.models = (200, {"data": [{"id": "stand-in"}]})  # status and body of /v1/models
        self.headers = {}  # of the last request for the models
        self.released = threading.Event()  # lets hanging requests go on
        self.left = threading.Event()  # a client has closed its connection too early
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Listen, at the same port as before."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                engine.headers = dict(self.headers)
                self._json(*engine.models)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                engine.asked += 1
                try:
                    self._answer(body, engine.mode)
                except OSError:
                    engine.left.set()

            def _answer(self, body, mode):
                if mode == "hang":
                    engine.released.wait(30)
                    self.close_connection = True
                elif mode == "overloaded":
                    wrong = {"type": "overloaded_error", "message": "too much"}
                    self._json(529, {"type": "error", "error": wrong})
                elif mode == "nonsense":
                    self._json(200, {"hello": "world"})
                elif not body.get("stream"):
                    self._json(200, MESSAGE)
                else:
                    self._stream(mode)

            def _stream(self, mode):
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                for event in list(events(MESSAGE))[: 3 if mode in ("break", "stall", "pings") else None]:
                    self._event(event)
                end = time.monotonic() + 30
                while mode in ("stall", "pings") and time.monotonic() < end:
                    if engine.released.wait(0.1):
                        break
                    if mode == "pings":
                        self._event({"type": "ping"})

            def _event(self, event):
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()

            def _json(self, status, body):
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self.released = threading.Event()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Stop listening, and release what hangs."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
