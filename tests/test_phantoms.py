"""Phantoms: truth, determinism, measured shares, layout on disk."""

import itertools
import json
import re

import cv2
import numpy as np
import pytest
from scipy import ndimage

from pneumo_keras.dataset.films import film_size, read_film
from pneumo_keras.dataset.labelme import paint, read_annotation
from pneumo_keras.dataset.phantoms import draw_phantom, write_phantoms
from pneumo_keras.dataset.phantoms.opacities import MOST, draw_share, outline
from pneumo_keras.dataset.phantoms.phantom import pose_chest
from pneumo_keras.dataset.phantoms.writing import VERSION, plan
from pneumo_keras.errors import StudyError

COUNT = 15
PNEUMONIA = re.compile(r"person\d+_(bacteria|virus)_\d+(_\d+)?\.jpeg")
NORMAL = re.compile(r"(NORMAL2-)?IM-\d{4}-\d{4}(-\d{4})?\.jpeg")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms") / "films"
    return folder, write_phantoms(folder, COUNT, seed=5)


@pytest.fixture(scope="module")
def drawn(written):
    """The phantoms that the written films were made from."""
    del written
    return [draw_phantom(p.seed, p.kind, p.film) for p in itertools.islice(plan(5), COUNT)]


def test_same_seed_same_phantom():
    first, second = (draw_phantom(11, "bacteria", film=1) for _ in range(2))
    assert np.array_equal(first.film, second.film)
    assert np.array_equal(first.opacity, second.opacity)
    other = draw_phantom(12, "bacteria", film=1)
    assert first.film.shape != other.film.shape or (first.film != other.film).mean() > 0.5


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="fungus"):
        draw_phantom(0, "fungus")


def test_a_phantom_is_sound(drawn):
    for phantom in drawn:
        assert phantom.film.dtype == np.uint8
        assert phantom.film.shape == phantom.opacity.shape == phantom.lungs.shape
        assert all(400 <= side <= 640 for side in phantom.film.shape)
        assert not (phantom.opacity & ~phantom.lungs).any()
        assert ndimage.label(phantom.lungs)[1] == 2
        assert 0.15 < phantom.lungs.mean() < 0.6
        assert phantom.film[phantom.lungs].std() > 8  # bones and vessels, no flat grey
    assert len({phantom.film.shape for phantom in drawn}) > COUNT // 2


def test_only_normal_films_have_no_opacity(drawn):
    for planned, phantom in zip(plan(5), drawn):
        assert phantom.opacity.any() == (planned.kind != "normal")


def test_viral_pneumonia_is_in_both_lungs_more_often_than_bacterial():
    def both(kind):
        found = 0
        for seed in range(8):
            chest = pose_chest(seed, kind, film=0)
            sides, _ = ndimage.label(chest.lungs)
            found += all((chest.opacity & (sides == side)).sum() > 200 for side in (1, 2))
        return found

    assert both("virus") > 1 + both("bacteria")


def test_opacity_is_brighter_than_the_lung_around_it(drawn):
    differences = []
    for phantom in drawn:
        near = cv2.dilate(phantom.opacity.astype(np.uint8), np.ones((61, 61))) > 0
        around = near & phantom.lungs & ~phantom.opacity
        if phantom.opacity.sum() > 500 and around.sum() > 500:
            inside, outside = phantom.film[phantom.opacity], phantom.film[around]
            differences.append(float(inside.mean()) - float(outside.mean()))
    assert len(differences) > 6
    assert 5 < np.mean(differences) < 50  # there, but no stronger than ribs and heart


def test_wanted_shares_follow_those_measured_on_real_films():
    rng = np.random.default_rng(3)
    shares = np.array([draw_share(rng) for _ in range(20_000)])
    assert np.mean(shares) == pytest.approx(0.13, abs=0.006)
    assert np.median(shares) == pytest.approx(0.11, abs=0.006)
    assert np.quantile(shares, 0.95) == pytest.approx(0.32, abs=0.025)
    assert shares.max() <= MOST


def test_shares_of_phantoms_follow_those_measured_on_real_films():
    shares = []
    for seed in (0, 1):
        films = (film for film in plan(seed) if film.kind != "normal")
        for planned in itertools.islice(films, 75):
            chest = pose_chest(planned.seed, planned.kind, planned.film)
            shares.append(chest.opacity.mean())
    assert 0.11 < np.mean(shares) < 0.15
    assert 0.09 < np.median(shares) < 0.13
    assert np.mean(np.array(shares) > 0.3) > 0.03
    assert min(shares) > 0
    assert max(shares) < 0.45


def test_outline_takes_the_wanted_share_and_has_no_hole():
    rows, columns = np.mgrid[:200, :200]
    lungs = np.hypot(rows - 100, columns - 100) < 80
    field = -np.abs(np.hypot(rows - 100, columns - 100) - 40.0)  # highest on a ring
    opacity = outline(field, lungs, share=0.2)
    assert np.array_equal(ndimage.binary_fill_holes(opacity), opacity)
    assert opacity[100, 100]
    disc = outline(-np.hypot(rows - 100, columns - 100), lungs, share=0.2)
    assert disc.mean() == pytest.approx(0.2, abs=0.005)
    everything = outline(-np.hypot(rows - 100, columns - 100), lungs, share=0.9)
    assert everything.sum() < 0.95 * lungs.sum()


def test_names_and_layout_are_those_of_kermany(written):
    folder, films = written
    assert len(films) == len(set(films)) == COUNT
    for film in films:
        train, subset, name = film.relative_to(folder).parts[1:]
        assert train == "train"
        pattern = {"PNEUMONIA": PNEUMONIA, "NORMAL": NORMAL}[subset]
        assert pattern.fullmatch(name)
    assert "synthetic" in (folder / "PHANTOMS.txt").read_text()


def test_kinds_and_patients_come_as_often_as_promised():
    films = list(itertools.islice(plan(0), 4000))
    kinds = [film.kind for film in films]
    for kind, share in {"bacteria": 0.45, "virus": 0.30, "normal": 0.25}.items():
        assert kinds.count(kind) / len(kinds) == pytest.approx(share, abs=0.03)
    of_patient = [len(list(group)) for _, group in itertools.groupby(f.seed for f in films)]
    assert set(of_patient) == {1, 2, 3, 4}
    assert len({film.path for film in films}) == len(films)
    numbers = [f.path.name.split("_")[0] for f in films if f.kind != "normal" and f.film == 1]
    assert len(numbers) > 100  # second films carry their patient's number
    for first, second in itertools.pairwise(films):
        if first.kind != "normal" and second.film > 0:
            assert first.path.name.split("_")[0] == second.path.name.split("_")[0]


def test_films_of_one_patient_differ():
    first, second = (draw_phantom(4, "virus", film=film) for film in (0, 1))
    assert first.film.shape != second.film.shape or (first.film != second.film).any()
    assert first.opacity.mean() != second.opacity.mean()


def test_annotations_agree_with_the_truth(written, drawn):
    kinds = set()
    for film, phantom in zip(written[1], drawn):
        annotation = read_annotation(film.with_suffix(".json"))
        height, width = film_size(film)
        assert (annotation.height, annotation.width) == (height, width) == phantom.film.shape
        assert annotation.film == film.name
        for label, truth in {"pneumonia": phantom.opacity, "lung": phantom.lungs}.items():
            painted = paint(annotation, label, height, width)
            assert (painted & truth).sum() >= 0.97 * (painted | truth).sum()
        kinds |= {s.shape_type for s in annotation.shapes if s.label == "pneumonia"}
        error = read_film(film).astype(int) - phantom.film
        assert np.abs(error).mean() < 6  # JPEG
    assert kinds == {"polygon", "linestrip"}


def test_film_does_not_depend_on_count(written, tmp_path):
    _, films = written
    fewer = write_phantoms(tmp_path / "fewer", 2, seed=5)
    assert [film.name for film in fewer] == [film.name for film in films[:2]]
    for one, other in zip(fewer, films):
        assert one.read_bytes() == other.read_bytes()
        assert one.with_suffix(".json").read_bytes() == other.with_suffix(".json").read_bytes()


def test_second_call_only_draws_what_is_missing(tmp_path):
    films = write_phantoms(tmp_path, 2, seed=1)
    content, kept = films[0].read_bytes(), films[1].stat().st_mtime_ns
    films[0].unlink()
    assert write_phantoms(tmp_path, 2, seed=1) == films
    assert films[0].read_bytes() == content
    assert films[1].stat().st_mtime_ns == kept


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StudyError, match="holds other files"):
        write_phantoms(tmp_path, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "record",
    [
        json.dumps({"generator": VERSION, "seed": 0, "count": 2}),
        json.dumps({"generator": VERSION, "seed": 9, "count": 1}),
        json.dumps({"generator": VERSION + 1, "seed": 0, "count": 1}),
        "[1,",
    ],
)
def test_other_phantoms_are_refused(tmp_path, record):
    (tmp_path / "phantoms.json").write_text(record)
    with pytest.raises(StudyError, match="other phantoms"):
        write_phantoms(tmp_path, 1)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_impossible_numbers_are_refused(tmp_path, count, seed):
    with pytest.raises(StudyError, match="count"):
        write_phantoms(tmp_path / "new", count, seed)
    assert not (tmp_path / "new").exists()
