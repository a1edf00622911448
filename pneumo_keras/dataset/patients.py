"""Who is shown in an image: the user's index.csv, and the file names of the Kermany set.

Kermany's names are such as `person17_bacteria_54.jpeg`, `NORMAL2-IM-0017-0001.jpeg` or, in version
3 at Mendeley, `BACTERIA-1135262-0001.jpeg`. Person numbers start again for each kind of pneumonia;
hence a patient is `bacteria:17`, not 17.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from pneumo_keras.dataset.images import IMAGE_SUFFIXES
from pneumo_keras.errors import StudyError
from pneumo_keras.files import without_apostrophe

NORMAL = "normal"
# What Label Studio, Roboflow, converters and file managers add to a name.
_BEFORE = re.compile(r"^([0-9a-f]{8}-)+", re.IGNORECASE)
_AFTER = re.compile(
    r"([_.](png|jpe?g|bmp|tiff?|dcm)|\.rf\.\w+| ?\(\d+\)|-\d+-| (- )?copy( \d+)?|_lungs?)+$",
    re.IGNORECASE,
)
_PNEUMONIA = re.compile(r"person(?P<number>\d+)_(?P<kind>bacteria|virus)_\d+(_\d+)?", re.IGNORECASE)
_NORMAL = re.compile(r"(?P<second>NORMAL2-)?IM-(?P<number>\d{4})-\d{4}(-\d{4})?", re.IGNORECASE)
_MENDELEY = re.compile(r"(?P<kind>BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+", re.IGNORECASE)
# Columns of index.csv, as `column_key` writes them.
_IMAGES = ("annotation", "image", "film", "file", "filename", "imagename", "imagefile", "path")
_IMAGES += ("imagefilename", "imagepath", "filepath", "imageid", "imageindex")
_PATIENTS = ("patientid", "patient", "subjectid", "subject", "participantid")
_GROUPS = ("group", "subtype", "finding", "class")
_LICENCES = ("licence", "license")


def patient_from_name(stem: str) -> tuple[str, str]:
    """Patient and group in a file name of the Kermany set; both empty for other names.

    Example:
        >>> patient_from_name("person17_bacteria_54"), patient_from_name("NORMAL2-IM-0017-0001")
        (('bacteria:17', 'bacteria'), ('normal2:17', 'normal'))
        >>> patient_from_name("0000000a-VIRUS-1135262-0001_jpeg.rf.5e0c")
        ('virus:1135262', 'virus')
    """
    bare = _AFTER.sub("", _BEFORE.sub("", stem))
    if match := _PNEUMONIA.fullmatch(bare) or _MENDELEY.fullmatch(bare):
        kind = match["kind"].lower()
        return f"{kind}:{int(match['number'])}", kind
    if match := _NORMAL.fullmatch(bare):
        series = "normal2" if match["second"] else "im"
        return f"{series}:{int(match['number'])}", NORMAL
    return "", ""


class Listed(NamedTuple):
    """What index.csv says of one file; empty where it says nothing."""

    patient: str = ""
    group: str = ""
    licence: str = ""


class Row(NamedTuple):
    """A row of index.csv: the files that it names, and what it says of them."""

    files: tuple[PurePosixPath, ...]
    entry: Listed


class Listing:
    """The rows of index.csv, and which image each is about.

    Args:
        path: index.csv.
        files: All files of the data folder, relative to it.

    Raises:
        StudyError: It is no CSV file, lists a file twice and differently, or has no column for
            images, or none for patients, groups or licences.
    """

    def __init__(self, path: Path, files: Iterable[PurePath]):
        self.path = path
        header, *rows = _read_cells(path) or [[]]
        keys = [column_key(name) for name in header]
        self.columns = ", ".join(name.strip() for name in header) or "none"
        self.has_patients = not {*keys}.isdisjoint(_PATIENTS)
        has_entry = self.has_patients or not {*keys}.isdisjoint(_GROUPS + _LICENCES)
        if {*keys}.isdisjoint(_IMAGES) or not has_entry:
            what = "patients" if not {*keys}.isdisjoint(_IMAGES) else "images"
            raise StudyError(
                f"{path} has no column for {what} (columns seen: {self.columns}): name them image "
                "and patient_id, or give the file another name if it is not about patients"
            )
        self.rows = [self._row(keys, cells, number) for number, cells in enumerate(rows, start=2)]
        first: dict[PurePosixPath, Listed] = {}
        for row in self.rows:
            for file in row.files:
                if first.setdefault(file, row.entry) != row.entry:
                    raise StudyError(f"{path} lists {file} twice, and differently: remove one row")
        self._all = [PurePosixPath(file) for file in files]
        self._files = {*map(_path, self._all)}

    def _row(self, keys: Sequence[str], cells: Sequence[str], number: int) -> Row:
        if any(cells[len(keys) :]):
            reason = f"has more cells in row {number} than columns"
            raise StudyError(f"{self.path} {reason}: quote values that hold a separator")
        values = dict(reversed([*zip(keys, map(str.strip, cells))]))  # of two columns the first

        def first(names: Sequence[str]) -> str:
            return next((values[name] for name in names if values.get(name)), "")

        files = (values[name] for name in _IMAGES if values.get(name))
        paths = tuple(PurePosixPath(PureWindowsPath(file).as_posix()) for file in files)
        entry = Listed(first(_PATIENTS), first(_GROUPS), first(_LICENCES))
        return Row(paths or (PurePosixPath(f"row {number}"),), entry)

    def match(self, images: Sequence[Sequence[PurePath]]) -> tuple[list[Listed | None], list[str]]:
        """Find the row of each image by path, else by file name, else by stem, whatever the case.

        A row that names an existing file is about no other. A name that fits several images, or
        several entries, is about none; nor is one in another folder, unless all names are unique.

        Args:
            images: the paths by which each image may be listed, relative to the data folder.

        Returns:
            The entry of each image, or None; and the rows that fit no image, or several.
        """
        paths = [(number, map(PurePosixPath, image)) for number, image in enumerate(images)]
        paths = [(number, tuple(image)) for number, image in paths]
        rows = [(number, row.files) for number, row in enumerate(self.rows)]
        lost = [row for row in rows if self._files.isdisjoint(map(_path, row[1]))]
        found: dict[int, Listed] = {}
        used: set[int] = set()
        for key in (str, _path, _name, _stem):
            by_path = key in (str, _path)
            named, shown = _by_key(key, rows if by_path else lost), _by_key(key, paths)
            common = named.keys() & shown.keys()
            unique = all(
                len({image for image, _ in shown[text]}) == 1
                and len({self.rows[row].entry for row, _ in named[text]}) == 1
                for text in common
            )
            fits, fitted = defaultdict(set), defaultdict(set)
            for text in common:
                for image, path in shown[text]:
                    for row, file in named[text]:
                        if by_path or unique or _same_folders(file, path):
                            fits[image].add(row)
                            fitted[row].add(image)
            for image, numbers in fits.items():
                numbers = numbers - used
                entries = {self.rows[row].entry for row in numbers}
                is_certain = len(entries) == 1 and all(fitted[row] == {image} for row in numbers)
                if is_certain and image not in found:
                    found[image] = entries.pop()
                    used |= numbers
        # A file that is not among these images may well be listed.
        others = {key(file) for file in self._all for key in (_name, _stem)}
        others -= {key(path) for _, image in paths for path in image for key in (_name, _stem)}
        left = [
            str(files[0])
            for number, files in lost
            if number not in used and others.isdisjoint({*map(_name, files), *map(_stem, files)})
        ]
        return [found.get(image) for image, _ in paths], left


def column_key(name: str) -> str:
    """The name of a column without spaces, punctuation and capitals.

    Example:
        >>> column_key("Patient_ID "), column_key("File Name")
        ('patientid', 'filename')
    """
    return "".join(filter(str.isalnum, name.casefold()))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with a header."""
    header, *rows = _read_cells(path) or [[]]
    return [dict(zip(header, row)) for row in rows]


def in_words(words: Iterable[str], limit: int = 4) -> str:
    """Words as in a sentence, a long list cut short: `a, b, c and 4 more`."""
    words = list(words)
    if len(words) > limit:
        words[limit - 1 :] = [f"{len(words) - limit + 1} more"]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _read_cells(path: Path) -> list[list[str]]:
    """Rows of a CSV file in UTF-8 or UTF-16, separated by comma, semicolon or tab."""
    try:
        content = path.read_bytes()
        is_utf_16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig").lstrip("\r\n")
        if text.startswith("sep="):  # as Excel writes it
            text = text.partition("\n")[2]
        header = text.partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [[*map(without_apostrophe, row)] for row in rows if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{path} is not a valid CSV file ({error}): fix or remove it") from None


def _by_key(
    key: Callable[[PurePath], str], groups: Iterable[tuple[int, Sequence[PurePath]]]
) -> dict[str, set[tuple[int, PurePath]]]:
    """Numbers and paths by a key of the path."""
    by_key = defaultdict(set)
    for number, paths in groups:
        for path in paths:
            by_key[key(path)].add((number, path))
    return by_key


def _path(path: PurePath) -> str:
    return str(path).casefold()


def _name(path: PurePath) -> str:
    return path.name.casefold()


def _stem(path: PurePath) -> str:
    """The name without the suffix of an image, since a UID has dots, too."""
    name, suffix = _name(path), path.suffix.casefold()
    return name.removesuffix(suffix) if suffix in (*IMAGE_SUFFIXES, ".json") else name


def _same_folders(path: PurePath, other: PurePath) -> bool:
    """Tell whether the folders of one path are the last ones of the other's."""
    folders = zip(reversed(path.parts[:-1]), reversed(other.parts[:-1]))
    return all(one.casefold() == two.casefold() for one, two in folders)
