"""A reactor's inputs: the annotated fields, read into a msgspec Struct that validates, encodes and decodes them.

This room refuses to know nodes, and how a problem is put in words (`problems.py`).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_origin

import msgspec

from reactor.define import kinds
from reactor.define.definition import InputDefinition
from reactor.define.foreign import decode_foreign
from reactor.define.problems import broken_inside, problems_of, refused
from reactor.define.sources import stands_in
from reactor.define.steps import Node, Source
from reactor.define.teaching import author_span, line_of_field
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactor.define.definition import Span
    from reactor.errors import Place


@dataclass(frozen=True, slots=True)
class Secret:
    """`Annotated[str, Secret()]`: sealed in the store, masked everywhere people look.

    >>> from reactor import Reactor
    >>> class Login(Reactor, abstract=True):
    ...     token: Annotated[str, Secret()]
    >>> Login(token="t0p")
    Login(token=********)
    """


@dataclass(frozen=True, slots=True)
class Index:
    """`Annotated[str, Index()]`: an input that runs can be found by.

    >>> Annotated[str, Index()].__metadata__
    (Index(),)
    """


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one class. `companion` is the Struct that validates, encodes and decodes them."""

    of: str
    fields: tuple[InputDefinition, ...]
    companion: type[msgspec.Struct]
    names: tuple[str, ...]
    secrets: frozenset[str]

    def accept(self, given: Mapping[str, Any], where: Callable[[], Place] | None = None, *, str_keys: bool = False) -> dict[str, Any]:
        """The values of all fields, converted and with defaults. Raises InputInvalid, with nothing secret in it or chained to it."""
        made = self._converted(given, str_keys=str_keys)
        if made is None:  # outside of `except`: a chained exception could tell a secret
            problems = tuple(problems_of(self.fields, given, str_keys=str_keys))
            raise refused(self.of, problems, self.names, where() if where is not None else None)
        values = {name: getattr(made, name) for name in self.names}
        broken = tuple(broken_inside(self.fields, values))
        if broken:
            raise refused(self.of, broken, self.names, where() if where is not None else None)
        return values

    def _converted(self, given: Mapping[str, Any], *, str_keys: bool) -> msgspec.Struct | None:
        try:
            return msgspec.convert(given, self.companion, dec_hook=decode_foreign, str_keys=str_keys)
        except (msgspec.MsgspecError, RecursionError):
            return None
        except NameError as error:
            missing = error.name or str(error)
        raise DefinitionError(
            f"a type in the inputs of {self.of} names `{missing}`, which msgspec does not find",
            code="unresolved-annotation",
            where=author_span(),
            fix=f"define `{missing}`, and the Struct that names it, in a module: msgspec does not see a function's locals",
        )


# ---- made of a class ------------------------------------------------------------------------------------------


def field_names(cls: type[Any]) -> dict[str, type[Any]]:
    """The annotated names of a class and its reactor bases, with the class that declares each last."""
    found: dict[str, type[Any]] = {}
    for base in reversed(cls.__mro__):
        if base is cls or vars(base).get("__reactor__") is not None:
            for name, annotation in inspect.get_annotations(base).items():
                if not (_is_class_var(annotation) or _is_output(base, name)):
                    found[name] = base
    return found


def _is_output(base: type[Any], name: str) -> bool:
    """`output: Step[int] = total` is the output, its type told to checkers that cannot infer it: a reactor that contains itself."""
    return name == "output" and isinstance(vars(base).get(name), Node)


def _is_class_var(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.startswith(("ClassVar", "typing.ClassVar"))
    return annotation is ClassVar or get_origin(annotation) is ClassVar


def check_names(cls: type[Any], nodes: Mapping[str, Node[Any]]) -> None:
    """Raises DefinitionError for an input whose name is a node's, or whose default is a reference."""
    for name, base in field_names(cls).items():
        default = base.__dict__.get(name)
        where = _line(base, name)
        if name in nodes or isinstance(default, Source):
            what = f"`{name}` is an input and a node"
            raise DefinitionError(what, code="input-and-node", where=where, fix="give the two different names")
        if isinstance(default, Node) or stands_in(default):
            raise DefinitionError(
                f"the default of the input `{name}` is {default!r}, which only a node's parameter can be bound to",
                code="input-default",
                where=where,
                fix=f"drop the annotation, or move it to a parameter of a step: `{name}: T = …`",
            )
        if name.startswith("_"):
            raise DefinitionError(
                f"`{name}` cannot be an input",
                code="input-name",
                where=where,
                fix="begin its name with a letter; what is no input is a `ClassVar`, or has no annotation",
            )


def _line(base: type[Any], name: str) -> Place:
    return line_of_field(vars(base)["__reactor__"].span, name)


def read_inputs(cls: type[Any], hints: Mapping[str, Any], span: Span) -> Inputs:
    """The inputs of a class whose annotations are resolved. Raises DefinitionError for types and defaults that cannot be."""
    fields, specs = [], []
    for name, base in field_names(cls).items():
        where = _line(base, name)
        kinds.check_storable(hints[name], f"the input `{name}`", where)
        default = _default(cls, name)
        fields.append(_input(name, hints[name], default, where))
        specs.append((name, hints[name]) if default is _NONE else (name, hints[name], default))
    companion = msgspec.defstruct(cls.__name__, specs, kw_only=True, forbid_unknown_fields=True, module=cls.__module__)
    _check_usable(companion, cls, span)
    names = tuple(field.name for field in fields)
    return Inputs(cls.__name__, tuple(fields), companion, names, frozenset(field.name for field in fields if field.secret))


_NONE: Any = object()


def _default(cls: type[Any], name: str) -> Any:
    """The default as msgspec takes it; a mutable one is copied for each run."""
    given = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), _NONE)
    if given is _NONE:
        return _NONE
    if isinstance(given, dataclasses.Field):
        if given.default_factory is not dataclasses.MISSING:
            return msgspec.field(default_factory=given.default_factory)
        return _NONE if given.default is dataclasses.MISSING else given.default
    if type(given) is type(msgspec.field()):
        return given
    return given if copy.deepcopy(given) is given else msgspec.field(default_factory=functools.partial(copy.deepcopy, given))


def _input(name: str, annotation: Any, default: Any, where: Place) -> InputDefinition:
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    secret = has_secret(annotation)
    index = any(isinstance(mark, Index) for mark in marks)
    value = _value(default)
    if value is not _NONE:
        _check_default(name, annotation, value, where, secret=secret)
    return InputDefinition(name, annotation, value is _NONE, None if value is _NONE else value, secret, index)


def _value(default: Any) -> Any:
    if type(default) is not type(msgspec.field()):
        return default
    if default.default_factory is not msgspec.NODEFAULT:
        return default.default_factory()
    return _NONE if default.default is msgspec.NODEFAULT else default.default


def _check_default(name: str, annotation: Any, value: Any, where: Place, *, secret: bool) -> None:
    try:
        msgspec.convert(value, annotation, dec_hook=decode_foreign)
    except NameError:
        return  # a Struct below: asked again when it is used
    except (msgspec.MsgspecError, RecursionError):
        pass
    else:
        return
    raise DefinitionError(
        f"the default of the input `{name}` is {'…' if secret else repr(value)}, no `{kinds.name_of(annotation)}`",
        code="input-default",
        where=where,
        fix=f"give a default that is one, or widen the type: `{name}: {kinds.name_of(annotation)} | None = None`"
        if value is None
        else "give a default that is one",
    )


def _check_usable(companion: type[msgspec.Struct], cls: type[Any], span: Span) -> None:
    try:
        msgspec.msgpack.Decoder(companion, dec_hook=decode_foreign)
    except NameError:
        return
    except TypeError as error:
        reason = str(error)
    else:
        return
    raise DefinitionError(
        f"the inputs of {cls.__name__} cannot be validated: {reason}",
        code="type-not-storable",
        where=span,
        fix="give the input a type that msgspec knows: plain types, Structs, dataclasses, attrs, TypedDict, pydantic models",
    )


def has_secret(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a type is marked as secret, or holds one that is: in its arguments, or in its fields."""
    if isinstance(annotation, Secret):
        return True
    if any(has_secret(arg, seen) for arg in get_args(annotation)):
        return True
    if not isinstance(annotation, type) or annotation in seen or not getattr(annotation, "__annotations__", None):
        return False
    try:
        inner = list(typing.get_type_hints(annotation, include_extras=True).values())
    except (NameError, TypeError, AttributeError):  # not all of it resolves: what is only text is searched as text
        inner = [each for base in annotation.__mro__ for each in inspect.get_annotations(base).values()]
    return any("Secret" in each if isinstance(each, str) else has_secret(each, seen | {annotation}) for each in inner)
