"""Which names are taken as files of a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backup.domain.source_path import UnusablePath, source_path


@pytest.mark.parametrize("path", ["a", "etc/app.conf", "文件/数据.txt", ".env", "a b/c", "..a/b", "-rf", "x" * 255])
def test_plain_relative_names_are_taken(path: str) -> None:
    assert source_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "a\\b",
        "a\x00b",
        "a\nb",
        "a\u202eb",
        "a\ud800",
        ".mainstay-x",
        "a/.mainstay-x/b",
        "x" * 256,
        "é" * 128,
        "/".join("a" * 33),
        "a" * 200 + "/" + "/".join(["b" * 200] * 5),
    ],
)
def test_other_names_are_refused(path: str) -> None:
    with pytest.raises(UnusablePath) as refused:
        source_path(path)
    assert refused.value.field == "path"


@given(st.text(alphabet=st.sampled_from(list("a./\\\x00\n-~é")), max_size=40))
def test_what_is_taken_stays_below_its_folder(path: str) -> None:
    try:
        taken = source_path(path)
    except UnusablePath:
        return
    assert not taken.startswith("/")
    assert not {"", ".", ".."} & set(taken.split("/"))
