"""Why an attempt failed, for the person who submitted the job. Tracebacks go to the log.

    str(reason_of(exc))       # "Keras refused: a label is 10, but the model has the classes 0 to 9. ..."

Keras and TensorFlow wrap the sentence that matters in stacks of the graph, names of nodes and paths of this machine.
"""

import errno
import os
import re

import tensorflow as tf

from keepfit.shared.errors import KeepfitError
from keepfit.shared.reasons import Code, Reason

_LONGEST = 500
_MEMORY_WORDS = re.compile(
    r"RESOURCE_EXHAUSTED|OOM when allocating|out of memory|OUT_OF_MEMORY|std::bad_alloc|bad allocation"
    r"|cannot allocate memory|unable to allocate|failed to allocate (?:memory|request)|not enough memory",
    re.IGNORECASE,
)
_LABEL = re.compile(r"Received a label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)")
_UNSUPPORTED = re.compile(r"Detected unsupported operations when trying to compile graph .*?: (\w+)", re.DOTALL)
_NOISE = tuple(
    (re.compile(pattern, flags), instead)
    for pattern, flags, instead in (
        (r"\x1b\[[0-9;]*m", 0, ""),
        (r"\n\s*Arguments received by .*", re.DOTALL, ""),
        (r"\n\s*Stack trace for op definition:.*", re.DOTALL, ""),
        (r"\n\s*\[\[\{\{node.*", re.DOTALL, ""),
        (r"\n\s*\[\[\w[^\n]*\]\]", 0, ""),
        (r"\s*\[Op:[^\]]*\]", 0, ""),
        (r"\s*(?:name|device|container): *$", re.MULTILINE, ""),
        (r"\{\{function_node [^}]*\}\}\s*", 0, ""),
        (r"^Graph execution error:\s*", re.MULTILINE, ""),
        (r"^Detected at node .*$", re.MULTILINE, ""),
        (r"^<stack traces unavailable>$", re.MULTILINE, ""),
        (r"^[ \t]+File \"[^\n]*\n(?:[ \t]+(?!File )[^\n]*\n)?", re.MULTILINE, ""),
        (r"Could not automatically infer the output shape.*?Error encountered:\s*", re.DOTALL, ""),
        (r"\s*You can attempt the following resolutions.*", re.DOTALL, ""),
        (r" with name 'None'", 0, ""),
        (r"\s*(?:for|node) '?\{\{node [^}]*\}\}(?: = [^\n]*?\))?'?(?= with|[.,\s]|$)", 0, ""),
        (r"\s*when calling(?= \w+\.call\(\))", 0, " in"),
        (r"(?<![\w/.])/(?:[\w.+-]+/)+([\w.+-]+)", 0, r"\1"),
        (r" object at 0x[0-9a-f]+", 0, ""),
    )
)
_IN_USER_CODE = re.compile(r"in user code:.*?^\s*(?:\w+\.)*\w*(?:Error|Exception)\w*: (.*)", re.DOTALL | re.MULTILINE)
_SENTENCE_END = re.compile(r"[.;:](?=\s)")


def reason_of(exc: BaseException) -> Reason:
    """What went wrong, in a sentence or two: no traceback, no name of a node, no path of this machine."""
    if isinstance(exc, KeepfitError):
        return exc.reason
    text = str(exc)
    if _MEMORY_WORDS.search(text) or isinstance(exc, MemoryError):
        return Reason.of(Code.OUT_OF_MEMORY)
    if disk_refused(exc):  # TensorFlow raises the same class for a full disk and a full memory
        return Reason.of(Code.DISK_REFUSED, error=_disk_words(exc))
    if isinstance(exc, tf.errors.ResourceExhaustedError):
        return Reason.of(Code.OUT_OF_MEMORY)
    if found := _LABEL.search(text):
        label, classes = map(int, found.groups())
        return Reason.of(Code.LABEL_OUTSIDE, label=label, classes=classes, highest=classes - 1)
    if found := _UNSUPPORTED.search(text):
        return Reason.of(Code.XLA_CANNOT, operation=found.group(1))
    said = _sentence(text)
    if isinstance(exc, ValueError | tf.errors.InvalidArgumentError | tf.errors.OperatorNotAllowedInGraphError):
        return Reason.of(Code.KERAS_REFUSED, text=said)
    return Reason.of(Code.UNEXPECTED, error=type(exc).__name__, text=said)


def is_expected(exc: BaseException) -> bool:
    """Whether the reason says all, so that the log needs no traceback."""
    return isinstance(exc, KeepfitError) or reason_of(exc).code == Code.OUT_OF_MEMORY


def disk_refused(exc: BaseException) -> bool:
    """Whether the disk refused. HDF5 says so in the text of errors of its own (h5py issues 1120, 2028)."""
    if isinstance(exc, OSError) and exc.errno is not None:
        return not isinstance(exc, FileNotFoundError) and exc.errno != errno.ENOMEM
    return any(os.strerror(number) in str(exc) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO))


def _disk_words(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    words = (os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO))
    return next(said for said in words if said in str(exc))


def _sentence(text: str) -> str:
    for pattern, instead in _NOISE[:2]:
        text = pattern.sub(instead, text)
    if found := _IN_USER_CODE.search(text):
        text = found.group(1)
    for pattern, instead in _NOISE[2:]:
        text = pattern.sub(instead, text)
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text[:_LONGEST])]
    return text[: ends[-1]] if ends and ends[-1] > _LONGEST // 2 else text[:_LONGEST] + " ..."
