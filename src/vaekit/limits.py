"""Messages for missing memory, disk space and permissions."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vaekit.refusal import Refusal, causes, reason

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk full, quota exceeded, file too large


@contextmanager
def within_limits(memory: str, disk: str) -> Iterator[None]:
    """A context that turns a lack of memory or disk space, or a file that cannot be used, into a `Refusal`.

    Args:
        memory: What to type where memory runs out.
        disk: What to type after freeing disk space.

    Raises:
        Refusal: That ends with these words.
    """
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        for cause in causes(error, contexts=True):
            if problem := full(cause):
                raise Refusal(f"Cannot write: {problem}. Free some space. {disk}") from error
            if isinstance(cause, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(cause):
                raise Refusal(f"Out of memory ({reason(cause)}). {memory}") from error
        if isinstance(error, OSError) and error.filename:
            path = error.filename2 or error.filename  # the target of a rename
            raise Refusal(
                f"Cannot use {path}: {error.strerror}. Expected a file or folder that is there and may be written. "
                "Move away what is in its place, or change its permissions."
            ) from error
        raise


class allocating(TorchDispatchMode):
    """A context in which new tensors may take a number of bytes together.

    Each counts a few bytes more, as its Python object does.

    Args:
        bytes: The limit.

    Raises:
        MemoryError: Before the allocation of a tensor that would exceed the limit.
    """

    def __init__(self, bytes: int):
        super().__init__()
        self.left = bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(argument.name == "device" for argument in func._schema.arguments):
            self.left -= func(*args, **{**kwargs, "device": "meta"}).nbytes + 4096
            if self.left < 0:
                raise MemoryError("larger than its weights")
        return func(*args, **kwargs)


def full(error: BaseException) -> str:
    """The reason why nothing more can be written.

    Args:
        error: An exception; libraries in Rust state the number of the error in its text.

    Returns:
        The reason; empty for any other error.
    """
    found = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
    return os.strerror(number) if number in FULL else ""
