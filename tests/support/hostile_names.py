"""Texts that a folder may give for the name of a file, to lead elsewhere or to break what prints or opens them."""

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
