"""A user's own processors, named in the configuration as ``package.module:factory``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from otel_exporter.failures import Reason, Refused
from processors.batch import Batch


def load(name: str) -> Callable[[Batch], Batch]:
    """What the factory makes.

    Raises:
        Refused: it cannot be imported, called, or does not make a callable.
    """
    module, _, factory = name.partition(":")
    try:
        made = getattr(import_module(module), factory)()
    except Exception as error:
        raise Refused(
            Reason.STORE, f"the processor {name} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(made):
        raise Refused(Reason.STORE, f"the processor {name} is not callable: {type(made).__name__}")
    processor: Callable[[Batch], Batch] = made
    return processor
