"""Image files made byte by byte, DICOM files, and small data folders, for tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pneumo_keras.dataset.images import read_mask
from pneumo_keras.dataset.masks import write_masks

SIZE = (12, 16)


def add_image(path, size=SIZE):
    """Write an image of noise; equal names give equal images."""
    random = np.random.default_rng(len(str(path.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)


def add_mask(path, seed=0, size=SIZE):
    mask = np.random.default_rng(seed).random(size) < 0.3
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask


def written(data, records, target, **options):
    """The report of `write_masks`, which keeps the masks of each target beside the data."""
    out = data.parent / f"masks of {target}"
    labels = ["pneumonia", "lung"]
    return write_masks(records, out, target, labels, data=data, progress=False, **options)


def masks_of(data, records, target, **options):
    """The masks that are made, by the name of the image."""
    index = written(data, records, target, **options).index
    return {n: read_mask(data.parent / f"masks of {target}" / f"{n}.png") for n in index["name"]}


def chunk(kind, content):
    """A chunk of a PNG file."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_rows(width, height, depth, colour, rows, *chunks):
    """A PNG of which `rows` are the bytes of each row; `chunks` come before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def png_header(width, height, depth=8, colour=0):
    """A PNG that says its size and holds almost no pixels."""
    return png_rows(width, height, depth, colour, [bytes(99)])


def bmp_header(width, height):
    return struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, width, height, 1, 24, 0, *[0] * 5
    )


def jpeg_header(width, height):
    frame = struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xd9"


def tiff(width, height, photometric, depth, pixels):
    """A grey TIFF, little-endian; `photometric` 0 stores white as 0, 1 black."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, depth), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(pixels))]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    header = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    return header + pixels + struct.pack("<H", len(tags)) + table + bytes(4)


def dicom_dataset(stored, bits=None, **elements):
    """A dataset around stored values; `elements` are set by keyword, None removes one."""
    stored = np.asarray(stored)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made.SOPClassUID = DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID = "1.2.3.4"
    made.Rows, made.Columns = stored.shape
    made.BitsAllocated = 8 * stored.dtype.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    content = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    made.add_new("PixelData", "OW", content + bytes(len(content) % 2))
    for keyword, value in elements.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def file_bytes(dataset):
    """The bytes of the DICOM file of a dataset."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicom_bytes(*arguments, **elements):
    """The bytes of the file of a `dicom_dataset`."""
    return file_bytes(dicom_dataset(*arguments, **elements))


def save_dicom(path, *arguments, **elements):
    """Write a `dicom_dataset` to a file."""
    path.write_bytes(dicom_bytes(*arguments, **elements))
    return path


def lookup_table(entries, first, bits):
    """An item of VOILUTSequence or ModalityLUTSequence."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    table.add_new("LUTData", "US", list(entries))
    table.ModalityLUTType = "US"
    return table
