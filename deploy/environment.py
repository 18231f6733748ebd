"""Reads the settings of whatever is about to start, and says what is wrong with them: a line per variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings.exceptions import SettingsError
from sqlalchemy.exc import ArgumentError

from deploy import services, variables
from deploy.site.settings import SiteSettings
from shared.kernel.errors import Refusal
from shared.kit.secret_files import PREFIX as PREFIX
from shared.kit.settings import CommonSettings, ServiceSettings, SettingsAsGiven

S = TypeVar("S", bound=BaseSettings)


class WrongSettings(Exception):
    """`lines` name each variable and what is wrong with it, without its value."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


def read(kind: type[S]) -> S:
    """Settings out of the environment; raises WrongSettings."""
    with explained(kind.model_config.get("env_prefix") or PREFIX):
        return kind()


def read_common() -> CommonSettings:
    """Also raises WrongSettings for every variable that is none of ours."""
    common, _ = _every(partial(read, CommonSettings), insist_on_known_variables)
    return cast(CommonSettings, common)


def read_service(service: str) -> ServiceSettings:
    with explained(f"{PREFIX}{service.upper()}_"):
        return services.settings_of(service)


def read_all(names: tuple[str, ...] = services.SERVICES) -> dict[str, ServiceSettings]:
    """The settings of several services; raises one WrongSettings with every line."""
    return dict(zip(names, _every(*(partial(read_service, name) for name in names)), strict=True))


@dataclass(frozen=True)
class ServerSettings:
    """All that one server reads: `services` by name are those it runs."""

    common: CommonSettings
    services: dict[str, ServiceSettings]
    pages: SiteSettings


def read_server(*names: str, working: bool) -> ServerSettings:
    """For a process that serves these services, `working` with their workers; raises WrongSettings with every line.

    In production that is also a line for each default that only development puts up with.
    """
    common, own, pages, _ = _every(
        read_common,
        partial(read_all, names),
        partial(read, SiteSettings),
        partial(insist_on_production, names, working=working),
    )
    return ServerSettings(common, own, pages)


def read_whole() -> ServerSettings:
    """For a whole company in one process, or under one supervisor."""
    return read_server(*services.SERVICES, working=True)


def insist_on_known_variables() -> None:
    """Raises WrongSettings with a line for every variable, or file of a secret, that nothing here reads."""
    with explained(PREFIX):
        lines = variables.unknown()
    if lines:
        raise WrongSettings(*lines)


def insist_on_production(names: tuple[str, ...], *, working: bool) -> None:
    """In production mode, raises WrongSettings with a line for each default that only development puts up with."""
    given = read(SettingsAsGiven)
    if given.mode != "production":
        return
    lines = given.unfit_for_production(keeping_files=bool(names), working=working)
    for name in names:
        lines += read_service(name).unfit_for_production(working=working)
    if lines:
        raise WrongSettings(*lines)


def _every(*readers: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    lines: list[str] = []
    for reader in readers:
        try:
            found.append(reader())
        except WrongSettings as wrong:
            lines += wrong.lines
    if lines:
        raise WrongSettings(*dict.fromkeys(lines))
    return found


@contextmanager
def explained(prefix: str, *, database_url: str = "DATABASE_URL") -> Iterator[None]:
    """Turn what is raised over settings into WrongSettings; `prefix` is that of the variables being read."""
    try:
        yield
    except ValidationError as error:
        raise WrongSettings(*_lines(error, prefix)) from None
    except SettingsError as error:
        raise WrongSettings(_unparsed(error, prefix)) from None
    except ArgumentError:
        raise WrongSettings(f"{prefix}{database_url}: is not a database URL") from None
    except Refusal as refusal:
        name = f"{prefix}{refusal.field.upper()}" if refusal.field else prefix.rstrip("_")
        raise WrongSettings(f"{name}: {refusal.detail}") from None
    except OSError as error:
        named = getattr(error, "filename", None) or "a file"
        raise WrongSettings(f"{prefix.rstrip('_')}: {named}: {error.strerror}") from None
    except ValueError as error:
        text = str(error)
        lines = text.split("\n") if text.startswith(PREFIX) else [f"{prefix.rstrip('_')}: {text}"]
        raise WrongSettings(*lines) from None


def _lines(error: ValidationError, prefix: str) -> list[str]:
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        reason = str(item["msg"]).removeprefix("Value error, ")
        where = ".".join(map(str, item["loc"]))
        names_itself = reason.startswith(PREFIX)
        lines += reason.split("\n") if names_itself else [f"{prefix}{where.upper() or 'settings'}: {_lower(reason)}"]
    return lines


def _unparsed(error: SettingsError, prefix: str) -> str:
    # pydantic-settings says: error parsing value for field "x" from source "EnvSettingsSource"
    parts = str(error).split('"')
    return f"{prefix}{parts[1].upper()}: is not JSON, which this setting needs" if len(parts) > 1 else f"{error}"


def _lower(reason: str) -> str:
    return reason[:1].lower() + reason[1:]
