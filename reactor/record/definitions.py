"""What a fingerprint stands for, as plain data: enough to draw a run, and to say what its code was, with no code at hand.

A store keeps one definition a fingerprint. It holds what the author said of names, edges, types and places in his files, and the lines
of his code; never a constant, a default or an input, any of which might be a secret. This room refuses to know any run, and whether
code fits it (`run/fitting.py`).
"""

from __future__ import annotations

import linecache
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.define.definition import NodeKind, SourceDefinition
from reactor.define.foreign import is_path
from reactor.define.inputs import has_secret
from reactor.errors import Incompatible
from reactor.plan.compile import family_of, plan_of
from reactor.plan.diagram import type_of, uses_of
from reactor.plan.spelling import spell_type

if TYPE_CHECKING:
    from reactor.define.definition import InputDefinition, Span
    from reactor.plan.plan import Plan, PlanNode

SNIPPET = 40  # lines of a node's code
_SLOT = "__reactor_definition__"


class UseData(msgspec.Struct, frozen=True):
    """One reason why a node waits for another: `how` is data, elements, source, when or after."""

    source: str
    how: str
    name: str = ""  # the parameter
    path: str = ""  # behind the result: ".lines[0]"


class MapData(msgspec.Struct, frozen=True):
    """What a map says beyond a step."""

    element: str  # its type, spelt out
    batch_size: int
    in_flight: int
    on_error: str
    source: str = ""  # the name of a `@source`; else the elements come by a use
    keyed: bool = False


class InputData(msgspec.Struct, frozen=True):
    """One input. `shape` is the JSON schema of its type, None where msgspec can give none."""

    name: str
    type: str  # spelt out
    required: bool = True
    secret: bool = False
    index: bool = False
    shape: dict[str, Any] | None = None


class NodeData(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `shape` is the JSON schema of its result, of a map's element's, of an interrupt's payload."""

    name: str
    kind: NodeKind
    type: str  # of what dependents get, spelt out
    parents: tuple[str, ...] = ()
    uses: tuple[UseData, ...] = ()
    when: str | None = None
    offload: bool | str = False
    timeout: float | None = None  # seconds; of an interrupt, the time to answer
    attempts: int | None = None  # of a step, calls; of an interrupt, payloads that may be wrong
    has_undo: bool = False
    has_compensate: bool = False
    children: tuple[str, ...] = ()  # of a compose, or a map of reactors: keys of `DefinitionData.reactors`
    map: MapData | None = None
    shape: dict[str, Any] | None = None
    secret: bool = False  # whether the type of its result holds a secret
    file: str = ""
    line: int = 0
    snippet: str = ""  # the author's code, at most `SNIPPET` lines


class ReactorData(msgspec.Struct, frozen=True, kw_only=True):
    """One reactor."""

    name: str
    version: int = 1
    aliases: tuple[str, ...] = ()
    output: str
    inputs: tuple[InputData, ...] = ()
    nodes: tuple[NodeData, ...]
    file: str = ""
    line: int = 0

    def node(self, name: str) -> NodeData | None:
        """The node of this name."""
        return next((node for node in self.nodes if node.name == name), None)


class DefinitionData(msgspec.Struct, frozen=True, kw_only=True):
    """What a fingerprint stands for: the reactor, and every one that it can reach through children.

    `reactors` has each under its name, or under `{name} (2)` where another of that name was met before.
    """

    name: str
    version: int
    fingerprint: str
    reactors: Mapping[str, ReactorData]

    @property
    def root(self) -> ReactorData:
        """The reactor itself."""
        return self.reactors[self.name]

    def child(self, node: NodeData, reactor: str) -> ReactorData | None:
        """The child that a node returned, by the name or alias that it is recorded under."""
        children = [self.reactors[key] for key in node.children if key in self.reactors]
        named = (child for child in children if child.name == reactor)
        return next(named, next((child for child in children if reactor in child.aliases), None))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DefinitionData)


def definition_data(plan: Plan) -> bytes:
    """The bytes of a plan's definition, made when first asked for and kept on the reactor's class.

    >>> from reactor import Reactor, step
    >>> class Greet(Reactor):
    ...     @step
    ...     async def output(self) -> str:
    ...         return "hello"
    >>> read_definition(definition_data(plan_of(Greet))).root.nodes[0].type
    'str'
    """
    cls = plan.definition.cls
    found = cls.__dict__.get(_SLOT)
    if found is None or found[0] is not plan:  # a harness has plans of its own
        found = (plan, _ENCODER.encode(_definition(plan)))
        setattr(cls, _SLOT, found)
    data: bytes = found[1]
    return data


def read_definition(data: bytes) -> DefinitionData:
    """A definition from its bytes. Raises Incompatible for what no release of ours wrote."""
    try:
        found = _DECODER.decode(data)
        found.root  # noqa: B018  # there
    except (msgspec.MsgspecError, LookupError, RecursionError) as error:
        raise Incompatible(
            f"the store holds a definition that cannot be read: {error}",
            code="unreadable-definition",
            fix="read it with the release that wrote it, or a newer one",
        ) from error
    return found


# ---- from a plan ------------------------------------------------------------------------------------------------


def _definition(plan: Plan) -> DefinitionData:
    family = family_of(plan.definition)
    keys: dict[type[Any], str] = {}
    for definition in family:
        taken, key = set(keys.values()), definition.name
        number = 2
        while key in taken:
            key, number = f"{definition.name} ({number})", number + 1
        keys[definition.cls] = key
    plans = [plan, *(plan_of(definition.cls) for definition in family[1:])]
    reactors = {keys[one.definition.cls]: _reactor(one, keys) for one in plans}
    return DefinitionData(name=plan.name, version=plan.definition.version, fingerprint=plan.fingerprint, reactors=reactors)


def _reactor(plan: Plan, keys: Mapping[type[Any], str]) -> ReactorData:
    definition = plan.definition
    return ReactorData(
        name=definition.name,
        version=definition.version,
        aliases=definition.aliases,
        output=definition.output,
        inputs=tuple(_input(field) for field in definition.inputs),
        nodes=tuple(_node(plan, node, keys) for node in plan.nodes),
        file=definition.span.file,
        line=definition.span.line,
    )


def _input(field: InputDefinition) -> InputData:
    return InputData(field.name, spell_type(field.type), field.required, field.secret, field.index, _shape(field.type))


def _node(plan: Plan, node: PlanNode, keys: Mapping[type[Any], str]) -> NodeData:
    definition = node.definition
    return NodeData(
        name=node.name,
        kind=node.kind,
        type=type_of(node),
        parents=tuple(plan.names[parent] for parent in node.parents),
        uses=tuple(UseData(use.source, use.how, use.name, use.path) for use in uses_of(node)),
        when=definition.when,
        offload=definition.offload,
        timeout=node.timeout,
        attempts=definition.attempts if node.retry is None else node.retry.attempts,
        has_undo=node.undo is not None,
        has_compensate=node.compensate is not None,
        children=tuple(keys[child] for child in node.children),
        map=_map(node),
        shape=None if node.children or node.returns is None else _shape(node.returns),
        secret=has_secret(node.returns),
        file=definition.span.file,
        line=definition.span.line,
        snippet=_snippet(definition.span),
    )


def _map(node: PlanNode) -> MapData | None:
    said = node.definition.map
    if said is None:
        return None
    source = said.elements if isinstance(said.elements, SourceDefinition) else None
    return MapData(
        element=spell_type(said.element),
        batch_size=said.batch_size,
        in_flight=said.in_flight,
        on_error=said.on_error,
        source="" if source is None else source.name,
        keyed=source is not None and source.key is not None,
    )


def _shape(annotation: Any) -> dict[str, Any] | None:
    """The JSON schema of a type, without what its fields default to where a secret may be among them."""
    try:
        found = _hoisted(msgspec.json.schema(annotation, schema_hook=_foreign_shape))
        msgspec.msgpack.encode(found)
    except Exception:  # noqa: BLE001  # a type of the author's, and what he or a library of his says of it: nothing hangs on it
        return None
    return _without_defaults(found) if has_secret(annotation) else found


def _foreign_shape(declared: Any) -> dict[str, Any]:
    """What a pydantic model says of itself; a path is text."""
    if is_path(declared):
        return {"type": "string", "format": "path"}
    if hasattr(declared, "model_json_schema"):
        found: dict[str, Any] = declared.model_json_schema(ref_template="#/$defs/{model}")
        return found
    raise NotImplementedError


def _hoisted(shape: dict[str, Any]) -> dict[str, Any]:
    """A pydantic model's own definitions, moved to the root, where its references look for them."""
    definitions: dict[str, Any] = {}

    def lifted(part: Any) -> Any:
        if isinstance(part, dict):
            definitions.update({name: lifted(one) for name, one in part.get("$defs", {}).items()})
            return {name: lifted(value) for name, value in part.items() if name != "$defs"}
        return [*map(lifted, part)] if isinstance(part, list) else part

    whole: dict[str, Any] = lifted(shape)
    return {**whole, "$defs": definitions} if definitions else whole


def _without_defaults(shape: Any, *, by_name: bool = False) -> Any:
    if isinstance(shape, dict):
        kept = {name: value for name, value in shape.items() if by_name or name not in ("default", "examples")}
        return {name: _without_defaults(value, by_name=not by_name and name in ("properties", "$defs")) for name, value in kept.items()}
    return [*map(_without_defaults, shape)] if isinstance(shape, list) else shape


def _snippet(span: Span) -> str:
    """The author's code; empty where his file is not at hand."""
    lines = [linecache.getline(span.file, line) for line in range(span.line, min(span.end_line, span.line + SNIPPET - 1) + 1)]
    return textwrap.dedent("".join(lines)).rstrip()
