"""DICOM films that tests make by hand."""

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


def save_dicom(path, *arguments, **elements):
    """Writes `dicom_film` to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom_film(*arguments, **elements).save_as(path, enforce_file_format=True)
    return path


def lookup_table(entries, first, bits):
    """An item of VOILUTSequence or ModalityLUTSequence."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    table.add_new("LUTData", "US", list(entries))
    table.ModalityLUTType = "US"
    return table
