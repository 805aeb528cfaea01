"""Inputs: contacts elsewhere that say what a sensor's values are worth.

A key switch "maintenance" in the analyser cabinet is often wired to a digital input module and not to the analyser. A
sensor of the site file names such words with `[[sensor.input]]`: the condition as in a profile's `[[status]]`, and the
link of the module, or none for a further register of the instrument itself. What they say together, for how long and
over which values, is the affair of `gateway.contacts`.

Pure: a table of the site file in, and whether a word means what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.blocks import TCP, Block, Cost, Limits, Part, divide
from gateway.conditions import STATUSES, Condition, read_condition
from gateway.document import Table
from gateway.links.address import Link
from gateway.measurement import Status, UInt16


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A word or bit that means a status. link: None = the sensor's own. parameters: () = all of the sensor."""

    link: Link | None
    condition: Condition
    status: Status
    parameters: tuple[str, ...]

    @property
    def block(self) -> Block:
        """Where its word stands."""
        return Block(self.condition.fc, self.condition.address, 1)


def read_inputs(table: Table, parse_link: Callable[[str], Link], hint: str) -> tuple[Input, ...]:
    """The inputs of a sensor of the site file."""
    found = []
    for part in table.tables("input"):
        with part:
            link = part.convert("link", parse_link, None, hint=hint)
            condition = read_condition(part)
            status = part.choice("status", STATUSES)
            parameters = part.texts("parameters", [], hint="codes of gateway/parameters.toml")
            if condition is not None and status is not None:
                found.append(Input(link=link, condition=condition, status=STATUSES[status], parameters=parameters))
    return tuple(found)


def input_parts(inputs: Iterable[Input], cost: Cost = TCP) -> tuple[Part, ...]:
    """The requests that bring the words of inputs at one link and unit."""
    return divide((item.block for item in inputs), Limits(), cost)


def holds(condition: Condition, word: int) -> bool:
    """Whether a condition holds for a word; of a bit 0 or 1."""
    return (word & condition.mask in condition.values) is not condition.negated


def words_at(part: Part, words: UInt16) -> Mapping[Block, int]:
    """The word of each input from the reply to a part: block of the input -> word."""
    return {span: int(words[span.address - part.block.address]) for span in part.spans}
