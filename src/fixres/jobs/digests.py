"""Digests: short names for contents. Equal contents have equal digests."""

import hashlib
import json


def canonical(config: dict) -> str:
    """A configuration as JSON text with sorted keys, so that only a changed value changes it."""
    return json.dumps(config, sort_keys=True, ensure_ascii=False)


def digest(*parts: str | bytes | memoryview) -> str:
    """Digest of a sequence of texts: 32 hexadecimal digits of a SHA-256.

    The length of each part counts too: ("ab", "c") and ("a", "bc") have different digests.
    """
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()[:32]
