"""TODO."""

import hashlib
import json


def canonical(config: dict) -> str:
    """One text for one configuration: sorted keys, so that only a change of a value changes it."""
    return json.dumps(config, sort_keys=True, ensure_ascii=False)


def digest(*parts: str | bytes) -> str:
    """A short name for exactly this content."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:32]
