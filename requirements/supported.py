"""Says whether TensorFlow has a package for the Python that runs this file, and if not, why.

    python3 requirements/supported.py      # exit 0, or 1 and one line with the reason

Knows only the standard library, and the syntax that very old Pythons understand as well.
"""

import platform
import struct
import sys


def reason():
    """Why this Python cannot be used; empty if it can."""
    version = "%d.%d" % sys.version_info[:2]
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return "Python %s: TensorFlow has packages for 3.11, 3.12 and 3.13" % version
    if platform.python_implementation() != "CPython":
        return "%s: TensorFlow has packages for CPython only" % platform.python_implementation()
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "Python %s, free-threaded: TensorFlow has packages for the ordinary build only" % version
    if struct.calcsize("P") != 8:
        return "a 32-bit Python: TensorFlow has packages for 64 bits only"
    return _platform_reason() or _parts_reason(version)


def _platform_reason():
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")):
        return "%s on %s: there are packages for Linux (x86_64, aarch64) and for macOS on Apple silicon" % (
            system,
            machine,
        )
    if system == "Linux" and platform.libc_ver()[0] != "glibc":
        return "a Linux without glibc (Alpine?): TensorFlow has no package for it; use Debian, Ubuntu or Fedora"
    return ""


def _parts_reason(version):
    try:
        import ensurepip  # noqa: F401  only whether it is there
        import venv  # noqa: F401
    except ImportError:
        return "Python %s without venv: install it (Debian, Ubuntu: apt install python%s-venv)" % (version, version)
    return ""


if __name__ == "__main__":
    found = reason()
    if found:
        sys.stdout.write(found + "\n")
    sys.exit(bool(found))
