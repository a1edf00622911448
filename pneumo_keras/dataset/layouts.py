"""How data sets lie on disk: a table of layouts, which of them a folder has, and its images.

`data/SOURCES.md` describes every layout and says how to add one.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pneumo_keras.dataset import coco, general_blockchain, labelme_layout
from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.layout_rules import ANY, Layout, kermany_part, part_of
from pneumo_keras.dataset.patients import patient_from_name
from pneumo_keras.dataset.records import ImageRecord, complete
from pneumo_keras.dataset.tree import Tree
from pneumo_keras.errors import StudyError

AUTO = "auto"


def _divided(tree: Tree, folders: list[Path], target: str | None) -> list[Path]:
    """Version 2 of QaTa-COV19, divided into sets, which holds the images of version 1 too."""
    return [f for f in folders if part_of(f / "Images", tree.root)] or folders


def _infection_or_lungs(tree: Tree, folders: list[Path], target: str | None) -> list[Path]:
    """The infection data of COVID-QU-Ex; for lungs the lung data, which are larger."""
    classes = [f for f in folders if part_of(f, tree.root)]
    infected = {f.parents[1] for f in classes if tree.images_below(f / "infection masks")}
    lungs = [f for f in classes if f.parents[1] not in infected]
    infection = [f for f in classes if f.parents[1] in infected]
    return lungs if target == "lung" and lungs else infection or lungs


def _only_one(tree: Tree, folders: list[Path], target: str | None) -> list[Path]:
    both = [f for f in folders if all(tree.images_below(f / n) for n in ("images", "masks"))]
    return both if len(both) == 1 else []


_LUNG_MASKS = ("masks", "ManualMask/leftMask", "ManualMask/rightMask")
_RADIOGRAPHY = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
_TUBERCULOSIS = {"0": "normal", "1": "tuberculosis"}  # by the last digit of the stem
_TABLE = (
    Layout(
        "labelme",
        "LabelMe JSON files, beside the images or elsewhere",
        module=labelme_layout,
        covers=("folders",),
        normals=True,
    ),
    Layout(
        "kermany_lungs",
        "chest_xray/{train,test}/{NORMAL,PNEUMONIA}/X.jpeg with lung_masks/X.png",
        beside=("chest_xray", "lung_masks"),
        masks={"lung": ("lung_masks",)},
        choose=lambda tree, folders, target: folders[:1],
        part=kermany_part,
        licence="CC BY 4.0",
    ),
    Layout(
        "general_blockchain",
        "structure.csv with images/, masks/ of crops and metadata.csv",
        module=general_blockchain,
        covers=("folders", "coco"),  # the repository holds its annotations as COCO as well
        licence="CC BY 4.0 (annotations)",
        page="https://github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset",
    ),
    Layout(
        "qata",
        "QaTa-COV19-v2/{Train Set,Test Set}/{Images,Ground-truths}/, or v1 without the sets",
        beside=("Images", "Ground-truths"),
        masks={"pneumonia": ("Ground-truths",)},
        mask_names=("mask_{}",),
        choose=_divided,
        complete="everywhere",
        resize=True,
        patient=r"(sub-S\d+)_",  # of the images from BIMCV; others name no patient
        group=lambda folder, image: "COVID-19",
        part=part_of,
        page="https://www.kaggle.com/datasets/aysendegerli/qatacov19-dataset",
    ),
    Layout(
        "covid_qu_ex",
        "{Train,Val,Test}/{COVID-19,Non-COVID,Normal}/{images,lung masks,infection masks}/",
        beside=("images", "lung masks"),
        masks={"pneumonia": ("infection masks",), "lung": ("lung masks",)},
        choose=_infection_or_lungs,
        complete="folder",  # images of other pneumonia show opacities that nobody outlined
        group=lambda folder, image: folder.name.lower(),
        part=part_of,
        normals=True,
        page="https://www.kaggle.com/datasets/anasmohammedtahir/covidqu",
    ),
    Layout(
        "covid_radiography",
        "{COVID,Lung_Opacity,Normal,Viral Pneumonia}/{images,masks}/",
        beside=("images", "masks"),
        masks={"lung": ("masks",)},
        choose=lambda tree, folders, target: [f for f in folders if f.name in _RADIOGRAPHY],
        complete="everywhere",
        resize=True,  # masks of 256×256 pixels for images of 299×299
        group=lambda folder, image: folder.name.lower(),
        covers=("folders",),
        page="https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
    ),
    Layout(
        "montgomery_shenzhen",
        "CXR_png/ with masks/ (X.png or X_mask.png), or with ManualMask/{leftMask,rightMask}/",
        beside=("CXR_png",),
        masks={"lung": _LUNG_MASKS},
        mask_names=("{}", "{}_mask"),
        choose=lambda tree, folders, target: [
            f for f in folders if any(tree.images_below(f / name) for name in _LUNG_MASKS)
        ],
        group=lambda folder, image: _TUBERCULOSIS.get(image.stem[-1:], ""),
        page="https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html#tuberculosis-image-data-sets",
    ),
    Layout(
        "coco",
        "a COCO JSON file (images, annotations, categories) and its images",
        module=coco,
    ),
    Layout(
        "folders",
        "images/ and masks/ (X.png, mask_X.png or X_mask.png), perhaps lungs/ and index.csv",
        beside=("images", "masks"),
        masks={ANY: ("masks",), "lung": ("lungs",)},
        mask_names=("{}", "mask_{}", "{}_mask"),
        choose=_only_one,
        complete="everywhere",
        normals=True,
    ),
)
LAYOUTS = {layout.name: layout for layout in _TABLE}


def find_images(
    data: str | Path,
    layout: str = AUTO,
    target: str | None = None,
    normals: bool = False,
    allow_outside: bool = False,
) -> list[ImageRecord]:
    """Find the images of a data folder and the reference annotation of each.

    Their order depends on paths alone; what is wrong with one of them is its `problem`.

    Args:
        data: The data folder.
        layout: A key of `LAYOUTS`, or `auto` to recognise it.
        target: Label to segment; None for the first that the layout offers.
        normals: Whether images of class normal without annotation count as empty ones.
        allow_outside: Whether an image may lie outside the folder, if its annotation says so.

    Raises:
        StudyError: There is no such folder, no layout or several are recognised in it, the layout
            does not offer the target or normal images, or one of its files is damaged.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.labelme import write_annotation
        >>> data = Path(tempfile.mkdtemp())
        >>> (data / "person17_virus_3.png").touch()
        >>> write_annotation(data / "a.json", "person17_virus_3.png", [], height=9, width=9)
        >>> records = find_images(data)
        >>> records[0].patient, records[0].group
        ('virus:17', 'virus')
        >>> print(recognition_line(records))
        recognised as labelme: 1 image, licence not stated
    """
    tree = Tree(data, allow_outside)
    chosen = _recognise(tree) if layout == AUTO else _named(layout, tree)
    offered = chosen.targets(tree)
    target = (offered or ("pneumonia",))[0] if target is None else label_key(target)
    if offered and target not in offered:
        labels = ", ".join(offered)
        raise StudyError(f"{data}: {chosen.name} outlines {labels}, not {target}: set --target")
    if normals and not chosen.normals:
        raise StudyError(f"{data}: {chosen.name} has no unannotated normal images: drop --normals")
    if normals and target == "lung":
        raise StudyError("normal images show lungs, and are no empty masks of them: drop --normals")
    found = chosen.find(tree, target, normals)
    if not found:
        raise StudyError(f"{data} holds no image for {chosen.name} with {target} outlined")
    return complete(found, tree, chosen.name, chosen.licence)


def recognition_line(records: Sequence[ImageRecord]) -> str:
    """One line on the layout, the number of images and their licence."""
    layout = LAYOUTS[records[0].layout]
    licences = Counter(record.licence or "not stated" for record in records if not record.problem)
    usable = licences.total()
    line = f"recognised as {layout.name}: {usable} image{'' if usable == 1 else 's'}"
    if usable < len(records):
        line += f" and {len(records) - usable} that cannot be used"
    if len(licences) > 1:
        parts = ", ".join(f"{name} ({number})" for name, number in licences.most_common())
        return f"{line}, licences {parts}"
    licence = next(iter(licences), "not stated")
    see = f" (see {layout.page})" if licence == "not stated" and layout.page else ""
    return f"{line}, licence {licence}{see}"


def kermany_images(tree: Tree) -> list[Path]:
    """The images of a tree that are named as in the Kermany release."""
    return [path for path in tree.images if patient_from_name(path.stem)[0]]


def _recognise(tree: Tree) -> Layout:
    """The one layout that a folder has, apart from those that another one covers."""
    found = [layout for layout in LAYOUTS.values() if layout.recognises(tree)]
    covered = {name for layout in found for name in layout.covers}
    found = [layout for layout in found if layout.name not in covered]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(layout.name for layout in found)
        raise StudyError(f"{tree.root} has several layouts ({names}): choose with --layout NAME")
    kermany = kermany_images(tree)
    of_kermany = " of the Kermany set" if kermany else ""
    raise StudyError(
        f"{tree.root} has no annotation and none of the known layouts (images{of_kermany}: "
        f"{len(kermany or tree.images)}): annotate with: python -m pneumo_keras annotate DIR, or "
        f"choose a layout with --layout NAME ({', '.join(LAYOUTS)}; see data/SOURCES.md)"
    )


def _named(name: str, tree: Tree) -> Layout:
    if name not in LAYOUTS:
        raise StudyError(f"no layout {name!r}: choose {AUTO} or one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[name]
    if not layout.recognises(tree):
        raise StudyError(f"{tree.root} is not laid out as {name}, which has {layout.description}")
    return layout
