"""Copies a trial's state to the host. The training waits for the copy, so it must be fast."""

from __future__ import annotations

import io
import mmap
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import torch

from detjupyter.definition.isolation import saved_names
from detjupyter.errors import CheckpointError

_ALIGNMENT_BYTES = 64
_MIN_PREPARED_BYTES = 64 << 20
_EXTRA_BYTES = 1 << 20  # for the small parts of a state besides models and optimizers: random states, the position in the data


class HostMemory:
    """Memory for copies, which consecutive copies reuse: allocating new memory takes several times as long as the copying.

    A copy that is made while an earlier one is still being written gets new memory.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: torch.Tensor | None = None
        self._preparing: threading.Thread | None = None

    def prepare(self, values: Any, *, pinned: bool) -> None:
        """Allocate memory for the first copy of ``values`` in the background. Does nothing if they have less than 64 MiB.

        Args:
            values: Tensors, in dicts, lists and tuples.
            pinned: Whether to allocate page-locked memory, for tensors on a GPU.
        """
        size_bytes = sum(_aligned(storage.nbytes()) for storage in _storages(values).values())
        with self._lock:
            if size_bytes < _MIN_PREPARED_BYTES or self._preparing is not None or self._free is not None:
                return
            arguments = (size_bytes + _EXTRA_BYTES, pinned)
            self._preparing = threading.Thread(target=self._prepare, args=arguments, name="detjupyter memory", daemon=True)
            self._preparing.start()

    def take(self, size_bytes: int, *, pinned: bool) -> torch.Tensor:
        """Return at least ``size_bytes`` bytes, (N,) uint8, uninitialized."""
        # Not with the lock held: the thread needs it to return its memory.
        preparing = self._preparing
        if preparing is not None:
            preparing.join()  # waiting is faster than allocating the same memory here
        with self._lock:
            self._preparing = None
            free, self._free = self._free, None
        if free is not None and free.numel() >= size_bytes and (free.is_pinned() or not pinned):
            return free
        return _allocated(size_bytes, pinned=pinned)

    def give_back(self, memory: torch.Tensor) -> None:
        """Keep ``memory`` for the next copy. The caller must not use it any more."""
        with self._lock:
            self._free = memory

    def _prepare(self, size_bytes: int, pinned: bool) -> None:
        memory = _allocated(size_bytes, pinned=pinned)
        memory.zero_()  # the system assigns pages at the first access, and that is the expensive part
        self.give_back(memory)


def copied(values: Any, memory: HostMemory) -> tuple[Any, torch.Tensor]:
    """Return a copy of ``values`` on the host, and the memory that contains its tensors.

    Tensors that share storage also share it in the copy. Copies from a GPU run asynchronously, with one synchronization at the end.

    Raises:
        CheckpointError: A value cannot be copied.
    """
    storages = _storages(values)
    on_gpu = any(storage.device.type == "cuda" for storage in storages.values())
    region = memory.take(sum(_aligned(storage.nbytes()) for storage in storages.values()), pinned=on_gpu)
    # `frombuffer` gives each part a storage of its own. A slice has the whole region as its storage, which torch.save would write for each
    # tensor.
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
        result = _copy_of_all(values, known)  # other objects are copied, too: the training can change them as well
    except Exception as error:  # a user's object can raise any class
        raise CheckpointError(
            f"The trial's state cannot be saved: {type(error).__name__}: {error}.", hint="State holds tensors, numbers and text."
        ) from None
    if on_gpu:
        for device in {storage.device for storage in storages.values() if storage.device.type == "cuda"}:
            torch.cuda.synchronize(device)
    return result, region


def _copy_of_all(values: Any, known: Mapping[int, torch.Tensor]) -> Any:
    """Return a copy of ``values`` with the tensors from ``known`` (by the id of the original) in place of the originals.

    This copies through pickle, because the state is also read back through pickle. ``copy.deepcopy`` would set the attributes of a dict's
    subclass before its items, and lose those of a class that keeps its items as attributes (``self.__dict__ = self``).
    """

    def keep(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        copied = known.get(id(value))
        return value.detach().to("cpu", copy=True) if copied is None else copied  # None: a tensor in an object, such as a nested scheduler

    return _through_pickle(values, keep)


def with_classes_of(owner: object, values: Any) -> Any:
    """Return a copy of ``values`` in which classes and functions of a definition are those of the load that ``owner`` is from.

    Tensors are shared. Values that cannot be copied are returned unchanged.
    """
    try:
        return _through_pickle(values, lambda value: saved_names.moved_to_load_of(owner, value))
    except Exception:  # a user's object can raise any class
        return values


def _through_pickle(values: Any, keep: Callable[[Any], Any]) -> Any:
    file = io.BytesIO()
    pickler = _Pickler(file, keep)
    pickler.dump(values)
    file.seek(0)
    return _Unpickler(file, pickler.kept).load()


class _Pickler(pickle.Pickler):
    """A pickler that leaves out tensors, classes, functions and modules; ``keep`` returns what takes their place in the copy."""

    def __init__(self, file: io.BytesIO, keep: Callable[[Any], Any]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.kept: list[Any] = []
        self._keep = keep
        self._numbers: dict[int, int] = {}

    def persistent_id(self, value: Any) -> int | None:
        """Return the index in :attr:`kept` of a value that is left out, None for one that is pickled."""
        if not isinstance(value, (torch.Tensor, type, FunctionType, ModuleType)):
            return None
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.kept)
            self.kept.append(self._keep(value))
        return self._numbers[id(value)]


class _Unpickler(pickle.Unpickler):
    """An unpickler that inserts the values which :class:`_Pickler` left out."""

    def __init__(self, file: io.BytesIO, kept: list[Any]) -> None:
        super().__init__(file)
        self._kept = kept

    def persistent_load(self, number: int) -> Any:
        """Return the value with that index."""
        return self._kept[number]


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
    view = torch.empty(0, dtype=tensor.dtype)
    return view.set_(copies[_key(tensor.untyped_storage())], tensor.storage_offset(), tensor.size(), tensor.stride())


def _storages(values: Any) -> dict[tuple[Any, ...], torch.UntypedStorage]:
    """Return every storage of the tensors in ``values`` once, by a key that identifies it."""
    storages = (tensor.untyped_storage() for tensor in tensors_in(values) if _is_plain(tensor))
    return {_key(storage): storage for storage in storages}


def _key(storage: torch.UntypedStorage) -> tuple[Any, ...]:
    # The size, too: storages from views of one numpy array can begin at the same address.
    return storage.device, storage.data_ptr(), storage.nbytes()


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is fully described by its dtype and a strided view of a storage."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and tensor.device.type in ("cpu", "cuda", "mps")
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _allocated(size_bytes: int, *, pinned: bool) -> torch.Tensor:
    if pinned:
        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
    if not size_bytes:
        return torch.empty(0, dtype=torch.uint8)
    region = mmap.mmap(-1, size_bytes)
    if hasattr(region, "madvise") and hasattr(mmap, "MADV_HUGEPAGE"):
        region.madvise(mmap.MADV_HUGEPAGE)  # pages of 2 MiB instead of 4 KiB: 512 times fewer page faults at the first access
    return torch.frombuffer(region, dtype=torch.uint8)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
