"""A lifecycle is a table of moves."""

from enum import StrEnum

import pytest

from shared.kernel.errors import IllegalMove
from shared.kernel.lifecycle import Lifecycle


class Lamp(StrEnum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


LAMP = Lifecycle[Lamp](
    "lamp",
    [("light", {Lamp.OFF}, Lamp.ON), ("put_out", {Lamp.ON}, Lamp.OFF), ("drop", {Lamp.ON, Lamp.OFF}, Lamp.BROKEN)],
)


def test_a_declared_move_leads_to_its_target() -> None:
    assert LAMP.after("light", Lamp.OFF) is Lamp.ON
    assert LAMP.allows("drop", Lamp.ON)


def test_an_undeclared_move_is_refused_and_names_noun_verb_and_state() -> None:
    with pytest.raises(IllegalMove) as refused:
        LAMP.after("light", Lamp.BROKEN)
    assert refused.value.facts == {"noun": "lamp", "verb": "light", "state": "broken"}
    assert not LAMP.allows("light", Lamp.BROKEN)


def test_an_unknown_verb_is_a_defect_not_a_refusal() -> None:
    with pytest.raises(ValueError, match="no verb"):
        LAMP.after("paint", Lamp.OFF)


def test_a_verb_may_not_lead_from_one_state_to_two() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Lifecycle[Lamp]("lamp", [("light", {Lamp.OFF}, Lamp.ON), ("light", {Lamp.OFF}, Lamp.BROKEN)])
