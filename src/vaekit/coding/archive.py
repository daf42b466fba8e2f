"""The file format of compressed examples.

7 bytes    b"vaekit\\n"
1 byte     the version of the format
4 bytes    n, the size of the header, little-endian
n bytes    the header: JSON, deflated
the words  of the stack of bits, 32 bits each, little-endian
32 bytes   SHA-256 of all bytes before
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from torch import Tensor

from vaekit.coding.bits_back import Stream
from vaekit.coding.originals import Form
from vaekit.refusal import Refusal
from vaekit.settings import fits
from vaekit.whole_file import parse_json

MAGIC, VERSION = b"vaekit\n", 1
HEADER, INFLATED = 2**24, 16  # largest inflated header in bytes: HEADER + INFLATED * size of the file


@dataclass(frozen=True)
class Archive:
    """Compressed examples, and what is needed to restore them.

    Args:
        model: The `fingerprint` of the weights that compressed them.
        run: The name of the run's folder, for the reader.
        form: How the originals were stored.
        checksum: SHA-256 of the original values.
        stream: The compressed examples.
        condition: The condition of each example, for a conditional model.
    """

    model: str
    run: str
    form: Form
    checksum: str
    stream: Stream
    condition: list[Any] | None = None

    def to_bytes(self) -> bytes:
        described = {**asdict(self), "stream": {"spare": self.stream.spare, "sizes": self.stream.sizes}}
        header = zlib.compress(json.dumps(described, separators=(",", ":")).encode(), 9)
        words = self.stream.words.astype("<u4").tobytes()
        body = MAGIC + struct.pack("<BI", VERSION, len(header)) + header + words
        return body + hashlib.sha256(body).digest()


def read(path: Path) -> Archive:
    """Read an archive.

    Args:
        path: The file.

    Raises:
        Refusal: If it is not a complete archive of this version of the format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(f"Cannot read {path} ({error.strerror}); give the file that task=compress wrote.") from error
    start = len(MAGIC) + 5
    if not data.startswith(MAGIC):
        raise Refusal(f"{path} is not a compressed archive; give the file that task=compress wrote.")
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise Refusal(
            f"{path} has format version {data[len(MAGIC)]}, expected {VERSION}; decompress it with the version of "
            "vaekit that compressed it."
        )
    body, checksum = data[:-32], data[-32:]
    if len(body) < start or hashlib.sha256(body).digest() != checksum:
        raise Refusal(f"{path} is damaged or cut short: its checksum does not match. Copy it again from its source.")
    try:
        end = start + struct.unpack_from("<I", body, start - 4)[0]
        inflate = zlib.decompressobj()
        text = inflate.decompress(body[start:end], HEADER + INFLATED * len(data))
        if not inflate.eof:
            raise ValueError("too long")
        header = parse_json(text)
        words = np.frombuffer(body[end:], "<u4").astype(np.uint32)
        stream, form = _typed(Stream, {**header.pop("stream"), "words": words}), _typed(Form, header.pop("form"))
        archive = _typed(Archive, {**header, "form": form, "stream": stream})
        n = sum(stream.sizes)
        lengths_differ = any(each is not None and len(each) != n for each in (form.names, archive.condition))
        if min(stream.sizes) < 1 or stream.spare < 0 or not words[-1:].all() or lengths_differ:
            raise ValueError("numbers of examples differ")
        return archive
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refusal(f"{path} has a header that was not written by vaekit ({error}); compress again.") from error


def _typed(kind: Callable[..., Any], fields: Mapping[str, Any]) -> Any:
    """Build a dataclass from fields. Raises `TypeError` for a field of another type than declared."""
    hints = get_type_hints(kind)
    for name, value in fields.items():
        if isinstance(value, Mapping) or not fits(value, hints.get(name)):
            raise TypeError(f"{name} is a {type(value).__name__}")
    return kind(**fields)


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, shapes and values of weights.

    Args:
        weights: Tensors by name, as model.safetensors holds them, so that names do not change with the version of
            vaekit.

    Example:
        >>> import torch
        >>> from vaekit.coding.archive import fingerprint
        >>> fingerprint({"w": torch.zeros(2)}) == fingerprint({"w": torch.zeros(3)})
        False
    """
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {list(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
