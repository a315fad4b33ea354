"""A server of JSON over HTTP on loopback, for the fake vector stores."""

import http.server
import json
import threading


class RefusedError(Exception):
    """An error reply, with its HTTP status and message."""

    def __init__(self, message, status=422):
        super().__init__(message)
        self.status = status


class JsonServer:
    """Replies with `answer(method, path, body, headers)` or, if that raises, `error(refused)`."""

    def __enter__(self):
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


def _handler_of(server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait 40 ms for each other

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, found = 200, server.answer(self.command, self.path, body, self.headers)
            except RefusedError as error:
                status, found = error.status, server.error(error)
            data = b"" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_):
            pass

    return Handler
