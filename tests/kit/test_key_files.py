"""A key file is made once, by whoever comes first, and is its owner's alone."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.kit.auth import DevelopmentIssuer
from shared.kit.key_files import content_of


def test_many_who_come_at_once_get_the_same_key(tmp_path: Path) -> None:
    path, together = tmp_path / "keys" / "one.key", threading.Barrier(8)

    def make() -> bytes:
        together.wait(10)
        return os.urandom(32)

    with ThreadPoolExecutor(8) as threads:
        keys = {future.result() for future in [threads.submit(content_of, path, make) for _ in range(8)]}
    assert keys == {path.read_bytes()}
    assert [file.name for file in path.parent.iterdir()] == ["one.key"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_issuers_that_start_at_once_sign_with_one_key(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def start(_number: int) -> str:
        together.wait(10)
        issuer = DevelopmentIssuer(issuer="https://issuer.example", audience="mainstay", key_file=tmp_path / "issuer")
        return str(issuer.jwks())

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(start, range(4)))) == 1
