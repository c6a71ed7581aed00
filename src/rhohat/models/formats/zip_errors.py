"""What Python's reader of zip archives raises for damaged ones."""

import struct
import zipfile

__all__ = ["ZIP_ERRORS"]

ZIP_ERRORS = (
    zipfile.BadZipFile,
    ValueError,
    NotImplementedError,
    EOFError,
    RuntimeError,
    OverflowError,
    OSError,
    struct.error,
)
