"""A server with the wire format of HashiCorp Vault's transit engine, as its documentation describes it.

Encrypt, decrypt, rewrap (with `batch_input`), reading, rotating and configuring a key, tokens, and the errors of each:
400 for what does not decrypt or may not any more, 403 for a wrong token, 404 for what is not there.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.a-token-of-a-test"
MOUNT, KEY = "transit", "mainstay"

Answer = tuple[int, dict[str, Any] | None]
_REFUSED: Answer = (400, {"errors": ["invalid ciphertext"]})


@dataclass
class TransitServer:
    """`versions` hold the keys; `asked` are the paths in order; `fails_with` answers everything with that status."""

    url: str
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    min_decryption_version: int = 1
    asked: list[str] = field(default_factory=list)
    fails_with: int | None = None

    def answer(self, method: str, path: str, token: str | None, content: bytes) -> Answer:
        self.asked.append(f"{method} {path}")
        if self.fails_with is not None:
            return self.fails_with, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        body = json.loads(content or b"{}")
        match method, path.removeprefix("/v1/").split("/"):
            case "GET", [mount, "keys", key] if (mount, key) == (MOUNT, KEY):
                return _data(latest_version=len(self.versions), min_decryption_version=self.min_decryption_version)
            case "POST", [mount, "keys", key, "rotate"] if (mount, key) == (MOUNT, KEY):
                self.versions.append(os.urandom(32))
                return 204, None
            case "POST", [mount, "keys", key, "config"] if (mount, key) == (MOUNT, KEY):
                self.min_decryption_version = body["min_decryption_version"]
                return 204, None
            case "POST", [mount, "encrypt", key] if (mount, key) == (MOUNT, KEY):
                return _data(ciphertext=self._encrypt(base64.b64decode(body["plaintext"])))
            case "POST", [mount, "decrypt", key] if (mount, key) == (MOUNT, KEY):
                plaintext = self._decrypt(body["ciphertext"])
                return (
                    (400, {"errors": ["invalid ciphertext"]})
                    if plaintext is None
                    else _data(plaintext=_text(plaintext))
                )
            case "POST", [mount, "rewrap", key] if (mount, key) == (MOUNT, KEY):
                results = [self._rewrap(each["ciphertext"]) for each in body["batch_input"]]
                return (400 if any("error" in each for each in results) else 200), _data(batch_results=results)[1]
        return 404, {"errors": []}

    def _encrypt(self, plaintext: bytes) -> str:
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(self.versions[-1]).encrypt(nonce, plaintext, None)
        return f"vault:v{len(self.versions)}:{_text(sealed)}"

    def _decrypt(self, ciphertext: str) -> bytes | None:
        _, version, content = ciphertext.split(":")
        number, sealed = int(version.removeprefix("v")), base64.b64decode(content)
        if not self.min_decryption_version <= number <= len(self.versions):
            return None
        try:
            return AESGCM(self.versions[number - 1]).decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag:
            return None

    def _rewrap(self, ciphertext: str) -> dict[str, Any]:
        plaintext = self._decrypt(ciphertext)
        return {"error": "invalid ciphertext"} if plaintext is None else {"ciphertext": self._encrypt(plaintext)}


@contextmanager
def transit_server() -> Iterator[TransitServer]:
    """On a port of its own until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._go("GET")

        def do_POST(self) -> None:
            self._go("POST")

        def _go(self, method: str) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, answer = server.answer(method, self.path, self.headers.get("x-vault-token"), content)
            body = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            if status != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Nothing: tests look at `asked`."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = TransitServer(f"http://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _data(**data: Any) -> Answer:
    return 200, {"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 0, "data": data}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
