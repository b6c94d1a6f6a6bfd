"""What the tests of pictures share."""

import struct


def size(path):
    """Width and height in pixels of a PNG."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">2I", content[16:24])
