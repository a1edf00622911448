"""DICOM films that tests make by hand."""

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian


def dicom_film(stored, bits=None, syntax=ExplicitVRLittleEndian, **elements):
    """A dataset around stored values; `elements` are set by keyword, None removes one."""
    stored = np.asarray(stored)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
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
    made.add_new("PixelData", "OW", stored.astype(stored.dtype.newbyteorder("<")).tobytes())
    if len(made.PixelData) % 2:
        made.PixelData += b"\0"
    for keyword, value in elements.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def dicom_bytes(*arguments, **elements):
    """The bytes of the file of a `dicom_film`."""
    buffer = io.BytesIO()
    dicom_film(*arguments, **elements).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def save_dicom(path, *arguments, **elements):
    """Writes a `dicom_film` to a file."""
    path.write_bytes(dicom_bytes(*arguments, **elements))
    return path


def lookup_table(entries, first, bits):
    """An item of VOILUTSequence or ModalityLUTSequence."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    table.add_new("LUTData", "US", list(entries))
    table.ModalityLUTType = "US"
    return table
