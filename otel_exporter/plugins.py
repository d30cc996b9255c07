"""A user's own processors and dialects, named in the configuration as ``package.module:factory``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from otel_exporter.failures import Reason, Refused
from processors.batch import Batch
from processors.dialects import DIALECTS
from processors.dialects.dialect import Dialect

Processor = Callable[[Batch], Batch]


def load(name: str) -> Processor | Dialect:
    """What the factory makes: a callable batch -> batch, or a dialect. A dialect itself may be named, too.

    Raises:
        Refused: it cannot be imported or called, or makes neither.
    """
    module, _, factory = name.partition(":")
    try:
        named = getattr(import_module(module), factory)
        made = named if isinstance(named, Dialect) else named()
    except Exception as error:
        raise Refused(Reason.STORE, f"{name} cannot be loaded: {type(error).__name__}: {error}") from error
    if isinstance(made, Dialect):
        return made
    if not callable(made):
        raise Refused(Reason.STORE, f"{name} makes neither a processor nor a dialect, but: {type(made).__name__}")
    processor: Processor = made
    return processor


def before_ours(own: Sequence[Dialect]) -> tuple[Dialect, ...]:
    """The dialects in the order they are tried: the user's first. One with the name of ours takes its place."""
    replaced = {(dialect.name, dialect.signal) for dialect in own}
    return (*own, *(ours for ours in DIALECTS if (ours.name, ours.signal) not in replaced))
