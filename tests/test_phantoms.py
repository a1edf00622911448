"""Phantoms: reference masks, determinism, measured shares, layout on disk."""

import itertools
import re

import cv2
import numpy as np
import pytest
from scipy import ndimage

from pneumo_keras.dataset.images import read_image
from pneumo_keras.dataset.labelme import rasterize, read_annotation
from pneumo_keras.dataset.phantoms import Phantom, draw_phantom, write_phantoms, writing
from pneumo_keras.errors import StudyError

COUNT = 20
NAMES = (  # of bacterial and viral pneumonia and of normal images, with the patient's number
    r"PNEUMONIA/person(\d+)_bacteria_\d+\.jpeg",
    r"PNEUMONIA/person(\d+)_virus_\d+\.jpeg",
    r"NORMAL/(?:NORMAL2-)?IM-(\d{4})-\d{4}\.jpeg",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    return folder, [path.relative_to(folder) for path in write_phantoms(folder, COUNT, seed=5)]


@pytest.fixture(scope="module")
def drawn():
    return {
        kind: [draw_phantom(seed, kind, image=seed % 2) for seed in range(count)]
        for kind, count in {"bacteria": 10, "virus": 10, "normal": 3}.items()
    }


def masks(path):
    """The pneumonia and lung masks of a written phantom, as annotated."""
    annotation = read_annotation(path.with_suffix(".json"))
    size = annotation.height, annotation.width
    return (rasterize(annotation, label, *size) for label in ("pneumonia", "lung"))


def test_only_the_same_arguments_give_the_same_phantom():
    first, again = draw_phantom(11, "virus"), draw_phantom(11, "virus")
    for name in ("image", "opacity", "lungs"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    for other in (draw_phantom(12, "virus"), draw_phantom(11, "virus", image=1)):
        assert first.opacity.mean() != other.opacity.mean()
        assert first.image.shape != other.image.shape or (first.image != other.image).mean() > 0.5
    with pytest.raises(ValueError, match="fungus"):
        draw_phantom(0, "fungus")


def test_image_and_masks_fit_together(drawn):
    for kind, phantom in ((kind, phantom) for kind, held in drawn.items() for phantom in held):
        assert phantom.image.dtype == np.uint8
        assert phantom.image.shape == phantom.opacity.shape == phantom.lungs.shape
        assert all(400 <= side <= 640 for side in phantom.image.shape)
        assert not (phantom.opacity & ~phantom.lungs).any()
        assert phantom.opacity.any() == (kind != "normal")
        assert ndimage.label(phantom.lungs)[1] == 2
        assert 0.15 < phantom.lungs.mean() < 0.6
        assert phantom.image[phantom.lungs].std() > 8  # bones and vessels, no uniform grey
    assert len({phantom.image.shape for phantom in drawn["virus"]}) > 6


def test_viral_pneumonia_is_in_both_lungs_more_often_than_bacterial(drawn):
    both = dict.fromkeys(drawn, 0)
    for kind, phantoms in drawn.items():
        for phantom in phantoms:
            sides, _ = ndimage.label(phantom.lungs)
            both[kind] += all((phantom.opacity & (sides == side)).sum() > 200 for side in (1, 2))
    assert both["virus"] > 1 + both["bacteria"]


def test_opacity_is_brighter_than_the_lung_around_it(drawn):
    differences = []
    for phantom in drawn["bacteria"] + drawn["virus"]:
        near = cv2.dilate(phantom.opacity.astype(np.uint8), np.ones((61, 61))) > 0
        around = near & phantom.lungs & ~phantom.opacity
        if phantom.opacity.sum() > 500 and around.sum() > 500:
            differences.append(phantom.image[phantom.opacity].mean() - phantom.image[around].mean())
    assert len(differences) > 10
    assert 5 < np.mean(differences) < 50  # visible, but no stronger than ribs and heart


def test_shares_follow_those_measured_on_real_images(drawn, written):
    folder, paths = written
    shares = [p.opacity.mean() for kind in ("bacteria", "virus") for p in drawn[kind]]
    annotated = [next(masks(folder / path)) for path in paths]
    shares += [pneumonia.mean() for pneumonia in annotated if pneumonia.any()]
    assert len(shares) > 30
    assert 0.10 < np.mean(shares) < 0.16
    assert 0.08 < np.median(shares) < 0.14
    assert 0.02 < np.mean(np.array(shares) > 0.3) < 0.12
    assert max(shares) < 0.45


def test_names_and_folders_are_those_of_kermany(tmp_path, monkeypatch):
    black = np.zeros((8, 8), bool)
    monkeypatch.setattr(writing, "draw_phantom", lambda *_: Phantom(black * 255, black, black))
    paths = write_phantoms(tmp_path, 99, seed=5)
    kinds, patients = [], []
    for path in paths:
        name = path.relative_to(tmp_path / "chest_xray" / "train").as_posix()
        matches = [re.fullmatch(pattern, name) for pattern in NAMES]
        kinds.append([match is not None for match in matches])
        patients += [match.group(1) for match in matches if match]
    assert np.sum(kinds, axis=1).tolist() == [1] * len(set(paths)) == [1] * 99
    assert np.allclose(np.mean(kinds, axis=0), [0.45, 0.30, 0.25], atol=0.15)
    images = np.array([len(list(group)) for _, group in itertools.groupby(patients)])
    assert len(images) == len(set(patients))  # the images of a patient follow each other
    assert np.mean(images == 1) == pytest.approx(0.74, abs=0.15)
    assert "synthetic" in (tmp_path / "PHANTOMS.txt").read_text()


def test_annotations_agree_with_the_image(written):
    folder, paths = written
    kinds = set()
    for path in paths:
        annotation = read_annotation((folder / path).with_suffix(".json"))
        assert (annotation.height, annotation.width) == read_image(folder / path).shape
        assert annotation.image == path.name
        pneumonia, lungs = masks(folder / path)
        assert pneumonia.any() == ("PNEUMONIA" in path.parts)
        assert (pneumonia & lungs).sum() >= 0.97 * pneumonia.sum()
        assert 0.15 < lungs.mean() < 0.6
        kinds |= {s.shape_type for s in annotation.shapes if s.label == "pneumonia"}
    assert kinds == {"polygon", "linestrip"}


def test_images_depend_on_the_seed_alone_and_only_missing_ones_are_written(written, tmp_path):
    folder, paths = written
    fewer = write_phantoms(tmp_path, 2, seed=5)
    assert [path.relative_to(tmp_path) for path in fewer] == paths[:2]
    kept = fewer[1].stat().st_mtime_ns
    fewer[0].unlink()
    assert write_phantoms(tmp_path, 2, seed=5) == fewer
    assert fewer[1].stat().st_mtime_ns == kept
    for one, other in zip(fewer, paths, strict=False):
        for suffix in (".jpeg", ".json"):
            content = (folder / other).with_suffix(suffix).read_bytes()
            assert one.with_suffix(suffix).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("thesis.txt", "mine"),
        ("phantoms.json", "[1,"),
        ("phantoms.json", '{"generator": 2, "seed": 0, "count": 2}'),
        ("phantoms.json", '{"generator": 2, "seed": 9, "count": 1}'),
        ("phantoms.json", '{"generator": 1, "seed": 0, "count": 1}'),
    ],
)
def test_folders_of_something_else_are_refused_and_left_alone(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(StudyError, match=re.escape(str(tmp_path))):
        write_phantoms(tmp_path, 1)
    with pytest.raises(StudyError, match=name):  # a file in place of a folder
        write_phantoms(tmp_path / name, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_impossible_numbers_are_refused(tmp_path, count, seed):
    with pytest.raises(StudyError, match="count"):
        write_phantoms(tmp_path / "new", count, seed)
    assert not any(tmp_path.iterdir())
