"""What counts as an address, and what staff see of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.contact import NotAnAddress, address_of, masked, without_address


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("alice@example.com", "alice@example.com"),
        ("Alice.Wang+mainstay@Mail.Example.COM", "Alice.Wang+mainstay@mail.example.com"),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("kontakt@例子.测试", "kontakt@xn--fsqu00a.xn--0zwm56d"),
    ],
)
def test_an_address_is_kept_in_one_normal_form(given_text: str, kept: str) -> None:
    assert address_of(given_text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "@example.com",
        "alice@",
        "alice@localhost",
        "alice@127.0.0.1",
        "alice@[127.0.0.1]",
        "alice@example..com",
        "alice@-example.com",
        ".alice@example.com",
        "a..b@example.com",
        "alice@example.com\r\nBcc: mallory@example.com",
        "alice\n@example.com",
        "alice@exam\x00ple.com",
        "a b@example.com",
        "Alice <alice@example.com>",
        "alice@example.com, bob@example.com",
        "alice;bob@example.com",
        '"alice bob"@example.com',
        "alice@bob@example.com",
        "älice@example.com",
        "a" * 65 + "@example.com",
        "alice@" + "a" * 64 + ".com",
        "alice@" + ".".join(["a" * 60] * 5) + ".com",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(NotAnAddress) as refused:
        address_of(text)
    assert refused.value.field == "email"
    assert not text or text not in refused.value.detail


@given(st.text())
def test_an_accepted_address_never_breaks_a_header(text: str) -> None:
    try:
        address = address_of(text)
    except NotAnAddress:
        return
    assert address.isascii()
    assert address.isprintable()
    assert not set(address) & set(' ,;:<>()[]"\\')
    assert address_of(address) == address


def test_staff_recognise_an_address_but_cannot_copy_it() -> None:
    assert masked("alice@example.com") == "a***@example.com"
    reply = "5.1.1 <ALICE@example.com>: unknown user alice@example.com"
    assert without_address(reply, "alice@example.com") == ("5.1.1 <a***@example.com>: unknown user a***@example.com")
