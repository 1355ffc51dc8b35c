"""
Which local names a suspended frame may still read.

A name that is written before it is read again tells nothing of what is to come, so two states that differ in it alone
are one.
"""

from __future__ import annotations

import dis
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_ENDS = {"RETURN_VALUE", "RETURN_CONST", "RERAISE", "RAISE_VARARGS", "JUMP_FORWARD", "JUMP_BACKWARD"}
_ENDS |= {"JUMP_BACKWARD_NO_INTERRUPT"}


@cache
def live_names(code: CodeType, suspended_at: int) -> frozenset[str]:
    """
    Return the names that may be read after a frame goes on.

    :param suspended_at: the frame's ``f_lasti``.
    """
    return _after(code)[suspended_at]


@cache
def _after(code: CodeType) -> dict[int, frozenset[str]]:
    """Return which names may be read after each instruction: what is read before it is written, backwards."""
    bytecode = dis.Bytecode(code)
    instructions = list(bytecode)
    offsets = [instruction.offset for instruction in instructions]
    follows: dict[int, set[int]] = {offset: set() for offset in offsets}
    for instruction, following in zip(instructions, [*offsets[1:], None], strict=True):
        if instruction.opname not in _ENDS and following is not None:
            follows[instruction.offset].add(following)
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            follows[instruction.offset].add(instruction.argval)
        for entry in bytecode.exception_entries:  # type: ignore[attr-defined] # typeshed does not list it
            if entry.start <= instruction.offset < entry.end:
                follows[instruction.offset].add(entry.target)
    before: dict[int, frozenset[str]] = dict.fromkeys(offsets, frozenset())
    after = dict(before)
    shared = {*code.co_cellvars, *code.co_freevars}
    changed = True
    while changed:
        changed = False
        for instruction in reversed(instructions):
            offset = instruction.offset
            names = frozenset().union(*(before[other] for other in follows[offset]), shared)
            after[offset] = names
            read, written = _names(instruction)
            names = (names - written) | read
            if names != before[offset]:
                before[offset], changed = names, True
    return after


def _names(instruction: dis.Instruction) -> tuple[set[str], set[str]]:
    """Return which names an instruction reads before it writes any, and which it writes."""
    name = instruction.opname
    if "_FAST" not in name:
        return set(), set()
    names = list(instruction.argval) if isinstance(instruction.argval, tuple) else [instruction.argval]
    if name.startswith("LOAD_FAST"):
        return set(names), set()
    if name == "STORE_FAST_LOAD_FAST":
        return ({names[1]} - {names[0]}), {names[0]}
    return set(), set(names)
