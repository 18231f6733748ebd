"""SQLAlchemy Core statements, compiled once per shape, for drivers that are called directly (ADR 0018)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect, Row
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.util import LRUCache

SHAPES_KEPT = 1_000

Statement = sa.sql.expression.Executable
Rows = Sequence[Row[Any]]
Parameters = Mapping[str, Any]
Process = Callable[[Any], Any] | None


class Fixed:
    """A statement that is made once, at import, with `sa.bindparam` for what differs: nothing is built per call."""

    __slots__ = ("plans", "statement")

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self.plans: dict[tuple[Any, ...], Plan] = {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement gave: its rows, or how many rows it changed."""

    rows: Rows
    rowcount: int

    def all(self) -> Rows:
        return self.rows

    def first(self) -> Row[Any] | None:
        return self.rows[0] if self.rows else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where one argument comes from: `given[key]`, the statement's own literal, or a value fixed at compilation."""

    key: str
    literal: int
    value: Any
    is_required: bool
    process: Process


class Shape:
    """How the driver's tuples become rows whose columns have names and Python types."""

    __slots__ = ("_index", "_metadata", "_processes")

    def __init__(self, names: Sequence[str], processes: Sequence[Process] = ()) -> None:
        self._metadata = SimpleResultMetaData(names)
        self._index: Any = self._metadata._key_to_index
        self._processes: Any = tuple(processes) if any(processes) else None

    def rows(self, found: Iterable[Sequence[Any]]) -> Rows:
        metadata, processes, index = self._metadata, self._processes, self._index
        return [Row(metadata, processes, index, tuple(values)) for values in found]


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled statement. `shape` is None for plain SQL, whose columns only the driver knows."""

    sql: str
    places: tuple[Place, ...]
    shape: Shape | None
    changes_rows: bool
    """True when it is asked how many rows changed and none comes back."""

    def arguments(self, given: Parameters, literals: Sequence[sa.BindParameter[Any]]) -> list[Any]:
        found = []
        for place in self.places:
            if place.key in given:
                value = given[place.key]
            elif place.literal >= 0:
                value = literals[place.literal].value
            elif place.is_required:
                raise KeyError(f"the statement needs a value for {place.key}")
            else:
                value = place.value
            found.append(value if place.process is None else place.process(value))
        return found


class Planner:
    """Plans for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._plans: Any = LRUCache(SHAPES_KEPT)

    def plan(self, statement: Any, parameters: Any) -> tuple[Plan, list[Any]]:
        """The plan and its arguments; a list of parameters gives a list of argument lists."""
        many = isinstance(parameters, list | tuple)
        names = tuple(sorted(parameters[0] if many else parameters or ()))
        literals: Sequence[Any] = ()
        if isinstance(statement, Fixed):
            key = (self._dialect.name, names, many)
            plan = statement.plans.get(key)
            if plan is None:
                plan = statement.plans[key] = self._plan_of_fixed(statement.statement, names, many)
        else:
            cache_key = statement._generate_cache_key()
            if cache_key is None:
                raise ValueError("a statement without a cache key would be compiled at every call")
            key = (cache_key.key, names, many)
            plan = self._plans.get(key)
            literals = cache_key.bindparams
            if plan is None:
                compiled = self._compiled(statement, names, many, cache_key)
                plan = compiled if _has_lists(compiled) else self._planned(compiled, str(compiled), cache_key)
                self._plans[key] = plan
            if not isinstance(plan, Plan):
                return self._written_out(plan, parameters or {}, literals)
        if many:
            return plan, [plan.arguments(each, literals) for each in parameters]
        return plan, plan.arguments(parameters or {}, literals)

    def _plan_of_fixed(self, statement: Any, names: Sequence[str], many: bool) -> Plan:
        compiled = self._compiled(statement, names, many, None)
        if _has_lists(compiled):
            raise ValueError("a fixed statement has no list of varying length: use `sets.among`")
        return self._planned(compiled, str(compiled), None)

    def _compiled(self, statement: Any, names: Sequence[str], many: bool, cache_key: Any) -> Any:
        return statement._compiler(
            self._dialect,
            cache_key=cache_key,
            column_keys=list(names) or None,
            for_executemany=many,
            schema_translate_map=None,
        )

    def _planned(self, compiled: Any, sql: str, cache_key: Any) -> Plan:
        literal_at = {id(bind): index for index, bind in enumerate(cache_key.bindparams)} if cache_key else {}
        processes = compiled._bind_processors
        places = []
        for name in compiled.positiontup or ():
            bind = compiled.binds[name]
            literal = next((literal_at[id(one)] for one in (bind, *bind._cloned_set) if id(one) in literal_at), -1)
            places.append(Place(bind.key, literal, bind.value, bind.required, processes.get(name)))
        return Plan(sql, tuple(places), self._shape_of(compiled), _changes_rows(compiled))

    def _written_out(
        self, compiled: Any, given: Parameters, literals: Sequence[sa.BindParameter[Any]]
    ) -> tuple[Plan, list[Any]]:
        """`IN` over a list: the text has a place for each element, so it is written out at each call."""
        values = compiled.construct_params(given, extracted_parameters=literals, escape_names=False)
        written = compiled._process_parameters_for_postcompile(values)
        values = {**values, **written.additional_parameters}
        processes = {**compiled._bind_processors, **written.processors}
        places = [Place(name, -1, values[name], False, processes.get(name)) for name in written.positiontup or ()]
        plan = Plan(written.statement, tuple(places), self._shape_of(compiled), _changes_rows(compiled))
        return plan, plan.arguments({}, ())

    def _shape_of(self, compiled: Any) -> Shape | None:
        columns = compiled._result_columns
        processes = [column.type._cached_result_processor(self._dialect, None) for column in columns]
        return Shape([column.keyname for column in columns], processes) if columns else None


def _has_lists(compiled: Any) -> bool:
    return bool(compiled.post_compile_params or compiled.literal_execute_params)


def _changes_rows(compiled: Any) -> bool:
    return (compiled.isinsert or compiled.isupdate or compiled.isdelete) and not compiled._result_columns


@lru_cache(maxsize=SHAPES_KEPT)
def shape_of(names: tuple[str, ...]) -> Shape:
    """For plain SQL: the columns as the driver names them."""
    return Shape(names)


POSTGRESQL = Planner(PGDialect_asyncpg())  # type: ignore[no-untyped-call]
SQLITE = Planner(SQLiteDialect_pysqlite(paramstyle="qmark"))
