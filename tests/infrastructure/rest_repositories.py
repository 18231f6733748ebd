"""A server of repositories over restic's REST protocol that takes additions only, as rest-server --append-only does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit


@contextmanager
def additions_only(folder: Path) -> Iterator[str]:
    """The restic URL of a server whose repositories are in `folder`; of all files it deletes locks alone."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._send()

        def do_GET(self) -> None:
            if self._path.is_dir():
                files = [{"name": file.name, "size": file.stat().st_size} for file in self._path.iterdir()]
                self._answer(200, json.dumps(files).encode(), kind="application/vnd.x.restic.rest.v2")
            else:
                self._send()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if urlsplit(self.path).query == "create=true":
                for name in ("data", "keys", "locks", "snapshots", "index"):
                    (self._path / name).mkdir(parents=True, exist_ok=True)
            elif self._path.exists():
                return self._answer(403)
            else:
                self._path.write_bytes(body)
            return self._answer(200)

        def do_DELETE(self) -> None:
            if self._path.parent.name != "locks":
                return self._answer(403)
            self._path.unlink(missing_ok=True)
            return self._answer(200)

        @property
        def _path(self) -> Path:
            return folder / urlsplit(self.path).path.strip("/")

        def _send(self) -> None:
            if not self._path.is_file():
                return self._answer(404)
            content = self._path.read_bytes()
            if wanted := self.headers.get("range"):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                return self._answer(206, content[int(first) : int(last) + 1 if last else None])
            return self._answer(200, content)

        def _answer(self, status: int, body: bytes = b"", *, kind: str = "application/octet-stream") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"rest:http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
