"""Hostile file names: they lead out of a folder, or break programs that print or open them."""

HOSTILE = [
    "../x",
    "../../outside/x",
    "/etc/x",
    "..",
    ".",
    "",
    "a/../../x",
    "a//x",
    "a\\x",
    ".x",
    "a\0x",
    "a\nx",
    "a\x1b[2Jx",
    "x" * 300,
    "ü" * 101,
]
