"""JSON values to request objects and response objects to JSON values.

In:  keys match in any case, unknown keys are ignored, null means absent, numbers are integers and
     nothing is guessed from another JSON type.
Out: the protocol's field names, zero values included, 64-bit integers as numbers, bytes as base64,
     an empty list or map as null.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import attrs
from cattrs import BaseConverter, Converter
from cattrs.gen import make_dict_unstructure_fn

from openim_trio.api.marks import Mark, Required

MAX_DEPTH = 32
"""levels of a free-form object"""

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]


class FieldProblem(ValueError):
    """What is wrong and where; `path` like `users[0].userID`, "" for the body itself."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}")
        self.problem = problem
        self.path = path

    def under(self, name: str) -> FieldProblem:
        """The same problem, seen from one level above."""
        if not self.path or self.path.startswith("["):
            return FieldProblem(self.problem, name + self.path)
        return FieldProblem(self.problem, f"{name}.{self.path}")


@attrs.frozen
class _Field:
    name: str
    hook: Hook
    type: Any
    absent: str
    """the problem if it is absent; "" if it need not be there"""


def marks_of(hint: Any) -> tuple[Mark, ...]:
    if get_origin(hint) is not Annotated:
        return ()
    return tuple(mark for mark in get_args(hint)[1:] if isinstance(mark, Mark))


def fields_of(cls: type) -> dict[str, Any]:
    """Field name -> type with marks, in order of declaration."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in attrs.fields(cls)}


def is_required(hint: Any) -> bool:
    return any(isinstance(mark, Required) for mark in marks_of(hint))


def _structure_object(cls: type, converter: BaseConverter) -> Hook:
    fields = [
        _Field(name, converter.get_structure_hook(hint), hint,
               "is required" if is_required(hint) else "")
        for name, hint in fields_of(cls).items()
    ]  # fmt: skip
    names = {field.name.lower(): field.name for field in fields}

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise FieldProblem("must be an object")
        given = {names.get(key.lower()): item for key, item in value.items() if item is not None}
        out = {}
        for field in fields:
            if field.name in given:
                try:
                    out[field.name] = field.hook(given[field.name], field.type)
                except FieldProblem as problem:
                    raise problem.under(field.name) from None
            elif field.absent:
                raise FieldProblem(field.absent, field.name)
        return cls(**out)

    return structure


def _structure_marked(hint: Any, converter: BaseConverter) -> Hook:
    inner, marks = get_args(hint)[0], marks_of(hint)
    hook = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> Any:
        out = hook(value, inner)
        for mark in marks:
            if problem := mark.problem(out):
                raise FieldProblem(problem)
        return out

    return structure


def _structure_list(hint: Any, converter: BaseConverter) -> Hook:
    (inner,) = get_args(hint)
    hook = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise FieldProblem("must be a list")
        out = []
        for index, item in enumerate(value):
            try:
                out.append(hook(item, inner))
            except FieldProblem as problem:
                raise problem.under(f"[{index}]") from None
        return out

    return structure


def _structure_map(hint: Any, converter: BaseConverter) -> Hook:
    inner = get_args(hint)[1]
    if inner is Any:
        return _structure_free
    hook = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise FieldProblem("must be an object")
        out = {}
        for key, item in value.items():
            try:
                out[key] = hook(item, inner)
            except FieldProblem as problem:
                raise problem.under(f"[{key}]") from None
        return out

    return structure


def _structure_free(value: Any, _: Any) -> Any:
    """An object of any content, not nested too deep for those who walk through it."""
    if not isinstance(value, dict):
        raise FieldProblem("must be an object")
    level: list[Any] = [value]
    for _depth in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return value
    raise FieldProblem(f"is nested deeper than {MAX_DEPTH} levels")


def _exactly(kind: type, words: str) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise FieldProblem(f"must be {words}")
        return value

    return structure


def _structure_bytes(value: Any, _: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise FieldProblem("must be a base64 string") from None


def _unstructure_object(cls: type, converter: BaseConverter) -> Callable[[Any], Any]:
    return make_dict_unstructure_fn(cls, converter)


def _unstructure_list(hint: Any, converter: BaseConverter) -> Callable[[Any], Any]:
    hook = converter.get_unstructure_hook(get_args(hint)[0])
    return lambda value: [hook(item) for item in value] or None


def _unstructure_map(hint: Any, converter: BaseConverter) -> Callable[[Any], Any]:
    inner = get_args(hint)[1]
    if inner is Any:
        return lambda value: value
    hook = converter.get_unstructure_hook(inner)
    return lambda value: {key: hook(item) for key, item in value.items()} or None


def _is_list(hint: Any) -> bool:
    return get_origin(hint) is list


def _is_map(hint: Any) -> bool:
    return get_origin(hint) is dict


def _is_marked(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _unstructure_marked(hint: Any, converter: BaseConverter) -> Callable[[Any], Any]:
    return converter.get_unstructure_hook(get_args(hint)[0])


def make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(str, _exactly(str, "a string"))
    converter.register_structure_hook(int, _exactly(int, "an integer"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    converter.register_structure_hook(bytes, _structure_bytes)
    converter.register_structure_hook_factory(attrs.has, _structure_object)
    converter.register_structure_hook_factory(_is_list, _structure_list)
    converter.register_structure_hook_factory(_is_map, _structure_map)
    converter.register_structure_hook_factory(_is_marked, _structure_marked)

    converter.register_unstructure_hook(
        bytes, lambda value: base64.b64encode(value).decode() if value else None
    )
    converter.register_unstructure_hook_factory(attrs.has, _unstructure_object)
    converter.register_unstructure_hook_factory(_is_list, _unstructure_list)
    converter.register_unstructure_hook_factory(_is_map, _unstructure_map)
    converter.register_unstructure_hook_factory(_is_marked, _unstructure_marked)
    return converter


CONVERTER = make_converter()


def structure(value: object, cls: type[T]) -> T:
    """Raises FieldProblem."""
    return CONVERTER.structure(value, cls)


def unstructure(value: object, as_type: Any) -> Any:
    """A JSON value.  An empty list at the top stays a list."""
    if get_origin(as_type) is list:
        return CONVERTER.unstructure(value, as_type) or []
    return CONVERTER.unstructure(value, as_type)
