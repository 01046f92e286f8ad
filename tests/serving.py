"""A web server on this machine, for the tests of downloads."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Server(http.server.ThreadingHTTPServer):
    """Serves files, with ranges or without; may break off after some bytes of a file.

    Chunked: it does not say how large a file is.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        ranges: bool = True,
        breaks_after: int | None = None,
        chunked: bool = False,
    ):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.ranges, self.breaks_after = files, ranges, breaks_after
        self.chunked = chunked
        self.asked: list[tuple[str, str | None]] = []  # name, range
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        pass


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, name, wanted = self.server, self.path.lstrip("/"), self.headers.get("Range")
        server.asked.append((name, wanted))
        if name not in server.files:
            self.send_error(404)
            return
        content, first = server.files[name], 0
        if wanted and server.ranges:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if first and first >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        else:
            self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        self.wfile.write(content[first : server.breaks_after])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Callable[..., Server]]:
    """Give the block a function that starts a `Server`; all end with the block."""
    servers = []

    def start(*arguments: object, **options: object) -> Server:
        servers.append(Server(*arguments, **options))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.close()
