"""Bytes that a training step moves."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MovedBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count, while a block runs, the bytes that every operation of torch reads and writes.

    Views, and memory that is only reserved, move nothing. Data still in a cache counts too.

    Attributes:
        total: the bytes so far.
        operations: the number of operations that moved data.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total, self.operations = 0, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        read, returned = _tensors((args, kwargs)), _tensors(result)
        schema = function._schema
        storages = {each.untyped_storage().data_ptr() for each in read}
        is_view = returned and all(each.untyped_storage().data_ptr() in storages for each in returned)
        if (is_view and not schema.is_mutable) or "empty" in schema.name:
            return result
        written = returned or _changed(schema, args, kwargs)
        self.total += sum(map(_size, (*read, *written)))
        self.operations += 1
        return result


def _changed(schema: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """Return the arguments that an operation without a result writes to."""
    names = [argument.name for argument in schema.arguments if argument.is_write]
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
    return _tensors([given.get(name) for name in names])


def _tensors(value: Any) -> list[Tensor]:
    return [each for each in tree_leaves(value) if isinstance(each, Tensor)]


def _size(tensor: Tensor) -> int:
    """Return the bytes of a tensor; an expanded one counts once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
