"""OpenCV's FileStorage as yaml or xml, matrices and plain values only, read without OpenCV and without running anything.

yaml:  K: !!opencv-matrix            xml:  <K type_id="opencv-matrix">
          rows: 3                             <rows>3</rows> <cols>3</cols> <dt>d</dt>
          cols: 3                             <data> ... </data></K>
          dt: d
          data: [ ... ]

An opencv-nd-matrix has sizes in place of rows and cols.
"""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np

_MOST_NUMBERS = 4096
_MOST_ENTRIES = 4096
_LARGEST = 4 << 20
_NAME = r"[A-Za-z_][\w.\-]*"
_MATRIX = re.compile(
    rf"^[ \t]*[\"']?({_NAME})[\"']?:[ \t]*!!opencv-(?:nd-)?matrix[ \t]*\n"
    r"(?:[ \t]*rows:[ \t]*(\d{1,9})[ \t]*\n[ \t]*cols:[ \t]*(\d{1,9})|[ \t]*sizes:[ \t]*\[([\d, \t]{1,99})\])[ \t]*\n"
    r"[ \t]*dt:[ \t]*[\"']?(\w{1,4})[\"']?[ \t]*\n[ \t]*data:[ \t]*\[([^\]:!]*)\]",
    re.MULTILINE,
)
_VALUE = re.compile(rf"^[ \t]*[\"']?({_NAME})[\"']?:[ \t]*([-+.\w]+)[ \t]*$", re.MULTILINE)
_LIST = re.compile(rf"^[ \t]*({_NAME}):[ \t]*\[([^\]\[:]*)\][ \t]*$", re.MULTILINE)

Entries = dict[str, np.ndarray]


def read_storage(data: bytes, *, xml: bool) -> Entries:
    """Matrices, lists of numbers and single numbers () by name, in their order; what is neither is left out.

    Raises:
        ValueError: no text, a matrix whose size does not fit its numbers, or a file of another layout.
    """
    if len(data) > _LARGEST:
        raise ValueError(f"the file has {len(data):,} bytes, at most {_LARGEST:,} are read: a calibration is small")
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    entries = _xml_entries(text) if xml else _yaml_entries(text)
    if not entries:
        raise ValueError("it has no matrices of OpenCV: save the calibration with cv2.FileStorage")
    return entries


def _yaml_entries(text: str) -> Entries:
    entries: Entries = {}
    for name, rows, columns, sizes, kind, numbers in _MATRIX.findall(text):
        _put(entries, name, _matrix(name, sizes or f"{rows} {columns}", kind, numbers))
    for name, value in _VALUE.findall(_MATRIX.sub("", text)):
        if (number := _number(value)) is not None:
            _put(entries, name, np.array(number))
    for name, values in _LIST.findall(_MATRIX.sub("", text)):
        found = [_number(value) for value in values.split(",")]
        if found and len(found) <= _MOST_NUMBERS and None not in found:
            _put(entries, name, np.array(found, np.float64))
    return entries


def _xml_entries(text: str) -> Entries:
    if "<!" in text.replace("<!--", ""):
        raise ValueError("it declares entities or a document type, which OpenCV never writes: it is not read")
    root = ElementTree.fromstring(text)
    entries: Entries = {}
    for element in root:
        parts = {part.tag: (part.text or "") for part in element}
        if "data" in parts:
            sizes = parts.get("sizes") or f"{parts.get('rows', '')} {parts.get('cols', '')}"
            _put(entries, element.tag, _matrix(element.tag, sizes, parts.get("dt", "").strip("\"' \n"), parts["data"]))
        elif not parts and (number := _number((element.text or "").strip())) is not None:
            _put(entries, element.tag, np.array(number))
    return entries


def _put(entries: Entries, name: str, value: np.ndarray | None) -> None:
    if len(entries) >= _MOST_ENTRIES:
        raise ValueError(f"it has more than {_MOST_ENTRIES} entries")
    if value is not None:
        entries.setdefault(name, value)


def _matrix(name: str, sizes: str, kind: str, numbers: str) -> np.ndarray | None:
    """None for what no camera has: points with several channels, and long lists."""
    shape = [int(size) for size in sizes.replace(",", " ").split() if size.isdigit() and len(size) < 10]
    if not 1 <= len(shape) <= 3 or math.prod(shape) > _MOST_NUMBERS or kind not in ("d", "f", "i"):
        return None
    found = numbers.replace(",", " ").split()
    if len(found) != math.prod(shape):
        raise ValueError(f"matrix {name} is of size {shape}, but holds {len(found)} numbers")
    values = [_number(value) for value in found]
    if None in values:
        raise ValueError(f"matrix {name} holds something that is no finite number")
    return np.array(values, np.float64).reshape(shape)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
