"""A folder of an agreement version is read only if somebody can have meant it."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import Parameters
from services.contracts.domain.agreement_bounds import bounds_of, what_is_wrong_with

FIRST = agreements.read_folder(agreements.FOLDER).version("2026-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(agreements.FOLDER / "2026-1", tmp_path / "2031-1"))


def test_a_folder_is_read_with_the_clause_of_each_parameter(folder: Path) -> None:
    read = agreements.read_version(folder)
    assert (read.version, read.effective_from) == ("2031-1", datetime(2026, 1, 1, tzinfo=UTC))
    assert read.clauses["retention_days"] == "2.2"
    assert set(read.clauses) == {each.name for each in fields(Parameters)} - {"refund_window_days"}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("parameters.toml", ("renewal_window_days = 3", ""), "lacks renewal_window_days"),
        ("parameters.toml", ("renewal_window_days = 3", "renewal_window_days = 0"), "renewal_window_days is 0"),
        ("parameters.toml", ("renewal_window_days = 3", "renewal_window_days = 28"), "renewal_window_days is 28"),
        ("parameters.toml", ("retention_days = 30", "retention_days = -1"), "retention_days is -1"),
        ("parameters.toml", ("retention_days = 30", "retention_days = 99999999999"), "retention_days is 99999999999"),
        ("parameters.toml", ("retention_days = 30", "retention_days = 30.5"), "retention_days is 30.5"),
        ("parameters.toml", ("retention_days = 30", 'retention_days = "30"'), "retention_days is '30'"),
        ("parameters.toml", ("retention_days = 30", "retention_days = true"), "retention_days is True"),
        ("parameters.toml", ("retention_days = 30", "retention_days = 30\nfree_coffee = 1"), "free_coffee"),
        ("parameters.toml", ("restore_target_hours = 4", "restore_target_hours = 0"), "restore_target_hours is 0"),
        ("parameters.toml", ('["2.3"]', '["9.9"]'), '["9.9"] is no clause of the text'),
        ("parameters.toml", ('["2.3"]', '["2.3"]\nretention_days = 30'), "retention_days stands below 2.2 and 2.3"),
        ("parameters.toml", ('"high"', '"enormous"'), "refuse_at_or_above has to be one of low, medium, high"),
        ("parameters.toml", ('["portal", "api", "email"]', "[]"), "written_channels has to list codes"),
        ("parameters.toml", ('["portal", "api", "email"]', '["api", "api"]'), "written_channels lists something twice"),
        ("parameters.toml", ("EUR = 500", "EUR = -500"), "bill_mailing_fee is -500 in EUR"),
        ("parameters.toml", ("EUR = 500", "euros = 500"), "'euros', which is no currency"),
        ("parameters.toml", ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"), "effective_from has to be an instant"),
        ("parameters.toml", ("2026-01-01T00:00:00Z", "2026-01-01"), "effective_from has to be an instant"),
        ("parameters.toml", ("effective_from = 2026-01-01T00:00:00Z", ""), "effective_from has to be an instant"),
        ("parameters.toml", ("retention_days = 30", "retention_days = = 30"), "is not TOML"),
        ("zh.md", ("**2.3 ", "**2.2 "), "clause 2.2 comes 2 times; lacks clause 2.3"),
        ("zh.md", ("## 4 软件", ""), "lacks chapter 4"),
        ("en.md", ("**5.3 Important", "5.3 Important"), "lacks clause 5.3"),
        ("en.md", ("**2.1 ", "**9.1 "), "in another order than their numbers"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_not_read(
    folder: Path, name: str, change: tuple[str, str], reason: str
) -> None:
    file = folder / name
    text = file.read_text(encoding="utf-8")
    assert change[0] in text
    file.write_bytes(text.replace(change[0], change[1], 1).encode())
    with pytest.raises(agreements.UnusableFolder, match=r"^2031-1/") as refused:
        agreements.read_folder(folder.parent)
    assert reason in str(refused.value)
    assert name in str(refused.value) or "lacks clause" in reason


@pytest.mark.parametrize("name", ["en.md", "zh.md", "parameters.toml"])
def test_a_missing_or_garbled_file_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(agreements.UnusableFolder, match=f"^2031-1/{name}: is missing$"):
        agreements.read_version(folder)
    (folder / name).write_bytes(content + b"\xff")
    with pytest.raises(agreements.UnusableFolder, match=f"^2031-1/{name}: is not UTF-8$"):
        agreements.read_version(folder)
    (folder / name).write_bytes(b" " * (agreements.LARGEST_FILE + 1))
    with pytest.raises(agreements.UnusableFolder, match=f"^2031-1/{name}: is larger than"):
        agreements.read_version(folder)


@pytest.mark.parametrize("name", ["two words", "a" * 41, "-1", "2031_1", "neu\u202e"])
def test_a_version_has_a_plain_name(folder: Path, name: str) -> None:
    with pytest.raises(agreements.UnusableFolder, match="a version is 1 to 40 letters"):
        agreements.read_version(folder.rename(folder.parent / name))


def test_two_versions_do_not_take_effect_at_once(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "2031-2")
    with pytest.raises(agreements.UnusableFolder, match="another version takes effect at 2026-01-01T00:00:00"):
        agreements.read_folder(folder.parent)


def test_line_endings_are_part_of_the_text(folder: Path) -> None:
    crlf = (folder / "en.md").read_bytes().replace(b"\n", b"\r\n")
    (folder / "en.md").write_bytes(crlf)
    assert agreements.read_version(folder).texts["en"].encode() == crlf  # type: ignore[index]


def test_the_shipped_version_is_within_its_bounds_and_just_outside_is_not() -> None:
    assert what_is_wrong_with(FIRST.parameters) == []
    for field in fields(Parameters):
        if field.type == "int":
            least, most = bounds_of(field.name)
            for inside in (least, most):
                assert what_is_wrong_with(replace(FIRST.parameters, **{field.name: inside})) == []  # type: ignore[arg-type]
            for outside in (least - 1, most + 1):
                [line] = what_is_wrong_with(replace(FIRST.parameters, **{field.name: outside}))  # type: ignore[arg-type]
                assert line.startswith(f"{field.name} is {outside}")


def test_the_terms_are_what_was_given_and_defaults_are_no_part_of_them() -> None:
    assert "refund_window_days" not in FIRST.terms
    windowed = replace(FIRST, parameters=replace(FIRST.parameters, refund_window_days=14))
    assert '"refund_window_days":14' in windowed.terms
    assert windowed.terms_sha256 != FIRST.terms_sha256
    later = replace(FIRST, effective_from=datetime(2027, 1, 1, tzinfo=UTC))
    assert later.terms_sha256 != FIRST.terms_sha256
