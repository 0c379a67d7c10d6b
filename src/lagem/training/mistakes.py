"""Shortens the report of a mistake in a configuration to one line."""

import re

GIVE_AN_EXPERIMENT = "Give an experiment as --config, for example experiments/autoencoder/toy.yaml."


def no_checkpoint(path: str) -> str:
    """Return the message for a --ckpt_path at which there is no checkpoint."""
    return f"--ckpt_path {path}: there is no such file and no complete sharded checkpoint."


def innermost_reason(message: str) -> str:
    """Return the part of a report that says what is wrong, in one line that starts with the key of the setting.

    Args:
        message: Report by jsonargparse, or by torch about an error in a loading process.
    """
    if raised := re.match(r"Caught (\w+) in DataLoader worker process", message):  # followed by a traceback
        message = re.split(rf"\n[\w.]*{raised[1]}: ", message)[-1]
    text = " ".join(message.split())
    while nested := re.match(r"(.*?)Does not validate against any of the Union subtypes .*? Errors: - (.*)", text):
        reason = re.split(r" - Expected a <class 'NoneType'>", nested[2])[0]
        text = nested[1] + reason
    text = re.sub(r"Problem with given class_path '[^']*': ", "", text)
    text = re.sub(r"Unexpected config: .*", f"a config does not map names to settings. {GIVE_AN_EXPERIMENT}", text)
    text = re.sub(r"the following arguments are required: .*", rf"\g<0>. {GIVE_AN_EXPERIMENT}", text)
    text = re.sub(
        r"Importing ('[^']*') is not allowed, denied by .*? to allow it\.",
        r"\1 is not imported, because a configuration must not name the standard library. Name a class of your module.",
        text,
    )
    text = text.replace('in "<unicode string>", ', "in a config, ")
    keys = re.findall(r"Parser key \"([^\"]+)\": ", text)
    text = re.sub(r"Parser key \"[^\"]+\": ", "", text)
    return f"{'.'.join(keys)}: {text}" if keys else text
