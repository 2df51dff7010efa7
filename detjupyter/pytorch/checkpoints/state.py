"""Copies of a trial's state on the host, quickly: the training waits for them."""

from __future__ import annotations

import io
import mmap
import pickle
import threading
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import torch

from detjupyter.errors import CheckpointError

_ALIGNMENT_BYTES = 64
_WORTH_PREPARING_BYTES = 64 << 20
_ROOM_BYTES = 1 << 20  # for what is small beside models and optimizers: random states, the place in the data


class HostMemory:
    """Memory for copies, used again from one copy to the next: fresh memory costs several times as much as the copying itself.

    A copy that is made while another is still being written gets fresh memory.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: torch.Tensor | None = None
        self._preparing: threading.Thread | None = None

    def prepare(self, values: Any, *, pinned: bool) -> None:
        """Begin to get memory for a copy of ``values`` behind, so that the first copy finds it ready; nothing if it would be little.

        Args:
            values: Tensors, in dicts, lists and tuples.
            pinned: Whether they are on a GPU.
        """
        size_bytes = sum(_aligned(storage.nbytes()) for storage in _storages(values).values())
        with self._lock:
            if size_bytes < _WORTH_PREPARING_BYTES or self._preparing is not None or self._free is not None:
                return
            wanted = (size_bytes + _ROOM_BYTES, pinned)
            self._preparing = threading.Thread(target=self._prepare, args=wanted, name="detjupyter memory", daemon=True)
            self._preparing.start()

    def take(self, size_bytes: int, *, pinned: bool) -> torch.Tensor:
        """Return at least ``size_bytes`` bytes, (N,) uint8; what is in them does not matter."""
        preparing = self._preparing
        if preparing is not None:
            preparing.join()  # it does what would have to be done now
        with self._lock:
            self._preparing = None
            free, self._free = self._free, None
        if free is not None and free.numel() >= size_bytes and (free.is_pinned() or not pinned):
            return free
        return _fresh(size_bytes, pinned=pinned)

    def give_back(self, memory: torch.Tensor) -> None:
        """Keep ``memory`` for the next copy; nobody uses it any more."""
        with self._lock:
            self._free = memory

    def _prepare(self, size_bytes: int, pinned: bool) -> None:
        memory = _fresh(size_bytes, pinned=pinned)
        memory.zero_()  # the first touch is what costs
        self.give_back(memory)


def copied(values: Any, memory: HostMemory) -> tuple[Any, torch.Tensor]:
    """Return a copy of ``values`` on the host, and the memory that its tensors are in.

    Tensors that share storage share it in the copy, too. The copies from a GPU run side by side, with one wait for all.

    Raises:
        CheckpointError: Something in it cannot be copied.
    """
    storages = _storages(values)
    on_gpu = any(storage.device.type == "cuda" for storage in storages.values())
    region = memory.take(sum(_aligned(storage.nbytes()) for storage in storages.values()), pinned=on_gpu)
    bytes_of_region = region.numpy().data
    copies: dict[tuple[Any, ...], torch.UntypedStorage] = {}
    offset = 0
    for key, storage in storages.items():
        size_bytes = storage.nbytes()
        if size_bytes:
            part = torch.frombuffer(bytes_of_region[offset : offset + size_bytes], dtype=torch.uint8)
            part.copy_(torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage), non_blocking=True)
            copies[key] = part.untyped_storage()
            offset += _aligned(size_bytes)
        else:
            copies[key] = torch.empty(0, dtype=torch.uint8).untyped_storage()

    known = {id(tensor): _copy_of(tensor, copies) for tensor in tensors_in(values)}
    try:
        result = _copy_of_all(values, known)  # all the rest, which somebody may change as well
    except Exception as error:  # whatever the objects in it raise that cannot be copied
        raise CheckpointError(
            f"The trial's state cannot be saved: {type(error).__name__}: {error}.", hint="State holds tensors, numbers and text."
        ) from None
    if on_gpu:
        for device in {storage.device for storage in storages.values() if storage.device.type == "cuda"}:
            torch.cuda.synchronize(device)
    return result, region


def _copy_of_all(values: Any, known: Mapping[int, torch.Tensor]) -> Any:
    """Return a copy of ``values`` with the tensors in ``known`` (by the id of the original) in the places of theirs.

    Made as pickle makes it, because that is how the state is read back: ``copy.deepcopy`` sets the attributes of a dict's subclass before
    its items, and loses those of a class that keeps its items as attributes (``self.__dict__ = self``).
    """
    file, kept = io.BytesIO(), _Kept(known)
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.persistent_id = kept.number  # type: ignore[method-assign]
    pickler.dump(values)
    file.seek(0)
    unpickler = pickle.Unpickler(file)
    unpickler.persistent_load = kept.things.__getitem__  # type: ignore[method-assign]
    return unpickler.load()


class _Kept:
    """What a copy takes as it is: tensors, each by its own copy, and classes, functions and modules, which are nobody's state."""

    def __init__(self, known: Mapping[int, torch.Tensor]) -> None:
        self._known = known
        self._numbers: dict[int, int] = {}
        self.things: list[Any] = []

    def number(self, thing: Any) -> int | None:
        """Return the number of ``thing`` if it is kept."""
        if not isinstance(thing, (torch.Tensor, type, FunctionType, ModuleType)):
            return None
        if id(thing) not in self._numbers:
            self._numbers[id(thing)] = len(self.things)
            self.things.append(self._copy_of(thing) if isinstance(thing, torch.Tensor) else thing)
        return self._numbers[id(thing)]

    def _copy_of(self, tensor: torch.Tensor) -> torch.Tensor:
        copied = self._known.get(id(tensor))
        return tensor.detach().to("cpu", copy=True) if copied is None else copied  # None: inside an object, such as an inner scheduler


def tensors_in(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in dicts, lists and tuples."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from tensors_in(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)


def _copy_of(tensor: torch.Tensor, copies: Mapping[tuple[Any, ...], torch.UntypedStorage]) -> torch.Tensor:
    if not _is_plain(tensor):
        return tensor.detach().to("cpu", copy=True)
    there = torch.empty(0, dtype=tensor.dtype)
    return there.set_(copies[_key(tensor.untyped_storage())], tensor.storage_offset(), tensor.size(), tensor.stride())


def _storages(values: Any) -> dict[tuple[Any, ...], torch.UntypedStorage]:
    """Return every storage once, by what tells it from others."""
    storages = (tensor.untyped_storage() for tensor in tensors_in(values) if _is_plain(tensor))
    return {_key(storage): storage for storage in storages}


def _key(storage: torch.UntypedStorage) -> tuple[Any, ...]:
    return storage.device, storage.data_ptr(), storage.nbytes()


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is nothing but a view of a storage."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and tensor.device.type in ("cpu", "cuda", "mps")
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _fresh(size_bytes: int, *, pinned: bool) -> torch.Tensor:
    if pinned:
        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
    if not size_bytes:
        return torch.empty(0, dtype=torch.uint8)
    region = mmap.mmap(-1, size_bytes)
    if hasattr(region, "madvise") and hasattr(mmap, "MADV_HUGEPAGE"):
        region.madvise(mmap.MADV_HUGEPAGE)  # 512 times fewer faults at the first touch
    return torch.frombuffer(region, dtype=torch.uint8)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
