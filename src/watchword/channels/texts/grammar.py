"""What a text may say, and how: found wrong before it is ever used.

A text may say what it is given, and choose by it; it has no loops, calls, filters or arithmetic, so
that what it says is bounded. It never chooses by the code, nor whether to say it, and extends only
a frame that is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from jinja2 import TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from watchword.channels.texts.reading import Source

SAYS = frozenset({"brand", "code", "lifetime", "minutes", "language", "subject"})
_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Extends, nodes.Block),
        *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand),
    }
)


def mistakes(
    surroundings: ImmutableSandboxedEnvironment, sources: Mapping[str, Source]
) -> Iterator[str]:
    """All that is wrong with these texts, each with its place."""
    trees: dict[str, nodes.Template] = {}
    for name, source in sources.items():
        try:
            trees[name] = surroundings.parse(source.text, name)
            surroundings.compile(trees[name], name)
        except TemplateError as error:
            yield f"{source.place}: cannot be read: {error.message}"
    for name, tree in trees.items():
        for wrong in [*_in_one(name, tree), *_in_frames(name, trees, sources)]:
            yield f"{sources[name].place}: {wrong}"


def _in_one(name: str, tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.Node):
        if type(node) not in _ALLOWED:
            yield f"a text may not use {type(node).__name__} (line {node.lineno})."
    branches, choices = list(tree.find_all(nodes.If)), list(tree.find_all(nodes.CondExpr))
    for test in [*(one.test for one in branches), *(one.test for one in choices)]:
        if any(said.name == "code" for said in _names(test)):
            yield f"a text may not choose by the code (line {test.lineno})."
    for chosen in [*branches, *choices]:
        framed = chosen.find(nodes.Block) or chosen.find(nodes.Extends)
        if framed or any(said.name == "code" for said in _names(chosen)):
            yield (
                "says its code, or has a frame or block, under a condition (line "
                f"{chosen.lineno}): some would get no code; say it outside."
            )
    for choice in choices:
        if choice.expr2 is None:
            yield f"a choice needs its else (line {choice.lineno})."
    for compared in tree.find_all(nodes.Compare):
        if not _can_be_told(compared):
            yield (
                f"compares with a text (line {compared.lineno}); only minutes is a number, for the "
                "rest there are == and !=."
            )
    given = SAYS if name.endswith(".html") else SAYS - {"subject"}
    for variable in sorted({said.name for said in tree.find_all(nodes.Name)} - given):
        near = difflib.get_close_matches(variable, sorted(given), 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; there is {', '.join(sorted(given))}."
        yield f"says '{variable}', which it is not given{hint}"


def _can_be_told(compared: nodes.Compare) -> bool:
    """Equal or not, of anything; more or less, of numbers alone."""
    if all(operand.op in ("eq", "ne") for operand in compared.ops):
        return True
    return all(
        (isinstance(one, nodes.Name) and one.name == "minutes")
        or (isinstance(one, nodes.Const) and isinstance(one.value, int | float))
        for one in (compared.expr, *(operand.expr for operand in compared.ops))
    ) and not any(operand.op in ("in", "notin") for operand in compared.ops)


def _names(said: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(said, nodes.Name):
        yield said
    yield from said.find_all(nodes.Name)


def _in_frames(
    name: str, trees: Mapping[str, nodes.Template], sources: Mapping[str, Source]
) -> Iterator[str]:
    """What is wrong with what it extends, as far as its own lines tell."""
    frame = _frame(trees[name])
    if frame is None:
        return
    if not isinstance(frame, str):
        yield "name the frame that it extends, in quotes."
    elif frame not in sources:
        yield f"extends '{frame}', which is not there."
    elif frame.rpartition(".")[2] != name.rpartition(".")[2]:
        # Each part is escaped after its own kind: markup in a plain frame would not be.
        yield f"extends '{frame}', which is of another kind; extend a .{name.rpartition('.')[2]}."
    elif _goes_round(name, trees):
        yield f"extends '{frame}', which in the end extends this one."
    else:
        offered = _blocks_above(name, trees)
        for block in trees[name].find_all(nodes.Block):
            if block.name not in offered and not _is_nested(block, trees[name], offered):
                there = ", ".join(sorted(offered)) or "none"
                yield f"fills a block '{block.name}' that its frame has not (it has {there})."


def _frame(tree: nodes.Template) -> object:
    """The name of what it extends, None where it extends nothing."""
    extends = tree.find(nodes.Extends)
    if extends is None:
        return None
    return extends.template.value if isinstance(extends.template, nodes.Const) else extends.template


def _goes_round(name: str, trees: Mapping[str, nodes.Template]) -> bool:
    seen: set[object] = set()
    at: object = name
    while isinstance(at, str) and at in trees:
        if at in seen:
            return True
        seen.add(at)
        at = _frame(trees[at])
    return False


def _blocks_above(name: str, trees: Mapping[str, nodes.Template]) -> set[str]:
    found: set[str] = set()
    at = _frame(trees[name])
    while isinstance(at, str) and at in trees:
        found |= {block.name for block in trees[at].find_all(nodes.Block)}
        at = _frame(trees[at])
    return found


def _is_nested(block: nodes.Block, tree: nodes.Template, offered: set[str]) -> bool:
    """Whether it stands within a block that the frame shows."""
    return any(
        block is not outer and outer.name in offered and block in set(outer.find_all(nodes.Block))
        for outer in tree.find_all(nodes.Block)
    )
