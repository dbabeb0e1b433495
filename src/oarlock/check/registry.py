"""The models by name."""

from types import MappingProxyType
from typing import Any, Final

from oarlock.check.history import HistoryError
from oarlock.check.kv_model import KeyValueStore
from oarlock.check.model import Model
from oarlock.check.models import CasRegister, Counter, Lock, Queue, Register, Set

MODELS: Final = MappingProxyType[str, Model[Any]](
    {model.name: model for model in (Register(), CasRegister(), KeyValueStore(), Lock(), Queue(), Counter(), Set())}
)
"""Every model at hand, by its name."""


def model_named(name: str) -> Model[Any]:
    """The model of that name.

    Raises:
        HistoryError: There is none; names those that there are.
    """
    model = MODELS.get(name)
    if model is None:
        raise HistoryError(f'no model "{name}"; there are {", ".join(sorted(MODELS))}')
    return model
