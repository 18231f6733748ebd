"""The papers and files of the story, made here so that they are the same everywhere."""

from __future__ import annotations

import hashlib

Upload = tuple[str, bytes, str]
"""File name, content, declared type."""


def _bytes(seed: str, size: int) -> bytes:
    """`size` bytes that look random to restic and are the same in every run."""
    blocks = (hashlib.sha256(f"{seed}:{number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def _pdf(text: str) -> bytes:
    """A small PDF with one line of text, offsets and all."""
    stream = f"BT /F1 18 Tf 60 760 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        b" /Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    content, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    content += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return content + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


PDF = _pdf("Transfer confirmation")
PROGRAM = b"\x7fELF" + _bytes("program", 2_000)
SERVER_FILES: dict[str, bytes] = {
    "etc/shop.conf": b"listen = 443\ncatalogue = /srv/books\ncurrency = EUR\n",
    "ledger/2026.csv": b"day,order,minor\n"
    + b"".join(b"2026-11-%02d,%d,%d\n" % (n % 28 + 1, n, n * 100) for n in range(2_000)),
    "photos/quay.bin": _bytes("quay", 256 * 1024),
    "notes/说明.txt": "每日备份；恢复后请核对。\n".encode(),
}


def too_large() -> bytes:
    """A PDF of 5 MiB and one byte."""
    return PDF + bytes(5 * 1024 * 1024 + 1 - len(PDF))
