"""Every documented layout: small trees, who is found in them, and masks identical to those given."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from pneumo_keras.dataset.cocoshapes import region_of
from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.shapes import Malformed
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError

SIZE = (12, 16)
SQUARE = Shape("pneumonia", "rectangle", np.array([[2.0, 2.0], [7.0, 7.0]]))


def film(path, size=SIZE):
    random = np.random.default_rng(len(str(path.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
    return path


def mask(path, seed=0, size=SIZE):
    given = np.random.default_rng(seed).random(size) < 0.3
    write_png(path, given)
    return given


def painted(data, films, target, folder="out", **options):
    """The masks that are made, by the name of the film."""
    out = data.parent / folder
    labels = ["pneumonia", "lung"]
    report = write_masks(films, out, target, labels, data=data, progress=False, **options)
    return {row.name: read_mask(out / row.mask) for row in report.index.itertuples(index=False)}


def by_name(films):
    return {film.name: film for film in films}


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


# === Kermany, annotated with LabelMe ===


def kermany(root, parts=("train", "val", "test")):
    for part in parts:
        film(root / part / "PNEUMONIA" / f"person{len(part)}_virus_1.jpeg")
        film(root / part / "NORMAL" / f"IM-{len(part):04}-0001.jpeg")
    return root


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test")])
@pytest.mark.parametrize("nested", ["", "chest_xray"])
@pytest.mark.parametrize("beside", [True, False])
def test_kermany_in_every_form(data, parts, nested, beside):
    root = kermany(data / "chest_xray", parts)
    if nested:
        shutil.copytree(root, data / "copy")
        (data / "copy").rename(root / nested)
    folder = root / "train" / "PNEUMONIA" if beside else data / "annotations"
    write_annotation(folder / "person5_virus_1.json", "person5_virus_1.jpeg", [SQUARE], *SIZE)
    (found,) = find_films(data)
    assert found.film == root / "train" / "PNEUMONIA" / "person5_virus_1.jpeg"
    assert (found.patient, found.group, found.part) == ("virus:5", "virus", "train")
    films = by_name(find_films(data, normals=True))
    parts_of_normals = {f"IM-{len(p):04}-0001": "test" if p == "test" else "train" for p in parts}
    assert {name: f.part for name, f in films.items() if f.group == "normal"} == parts_of_normals
    assert len(films) == len(parts_of_normals) + 1
    masks = painted(data, list(films.values()), "pneumonia")
    assert masks["person5_virus_1"].sum() == 36
    assert not any(masks[name].any() for name in parts_of_normals)


def test_masks_in_the_tree_are_no_normal_films(data):
    root = kermany(data / "chest_xray")
    write_annotation(data / "a.json", "person5_virus_1.jpeg", [SQUARE], *SIZE)
    mask(data / "lung_masks" / "IM-0099-0001.png")
    mask(data / "normal" / "masks" / "a.png")
    films = find_films(data, "labelme", normals=True)
    assert len(films) == 4 and all(film.film.is_relative_to(root) for film in films)


def test_an_annotated_normal_film_is_no_empty_one(data):
    kermany(data / "chest_xray")
    write_annotation(data / "IM-0005-0001.json", "IM-0005-0001.jpeg", [SQUARE], *SIZE)
    films = find_films(data, normals=True)
    assert painted(data, films, "pneumonia")["IM-0005-0001"].sum() == 36


def test_normal_films_are_no_empty_masks_of_lungs(data):
    kermany(data / "chest_xray")
    write_annotation(data / "a.json", "IM-0005-0001.jpeg", [SQUARE], *SIZE)
    with pytest.raises(StudyError, match="normal films show lungs"):
        find_films(data, target="lung", normals=True)


def test_kermany_without_annotation_says_what_to_do(data):
    kermany(data / "chest_xray")
    with pytest.raises(
        StudyError, match=r"6 films of the Kermany set, but no annotation.*annotate"
    ):
        find_films(data)


# === Kermany with lung masks ===


def test_kermany_lungs(data):
    kermany(data / "chest_xray")
    given = {
        name: mask(data / "lung_masks" / f"{name}.png", seed)
        for seed, name in enumerate(("person5_virus_1", "IM-0004-0001", "person3_virus_1"))
    }
    films = find_films(data)
    assert {film.source for film in films} == {"kermany_lungs"}
    parts = {film.name: (film.part, film.patient) for film in films}
    assert parts == {
        "person5_virus_1": ("train", "virus:5"),
        "IM-0004-0001": ("test", "im:4"),
        "person3_virus_1": ("train", "virus:3"),  # of val, which is too small
    }
    masks = painted(data, films, "lung")
    assert all(np.array_equal(masks[name], given[name]) for name in given)
    mask(data / "lung_masks" / "person77_virus_1.png")
    (stray,) = [film for film in find_films(data) if film.problem]
    assert "person77_virus_1.png is the mask of no film" in stray.problem


# === QaTa-COV19 ===


def qata(root):
    given = {}
    names = ("covid_1", "sub-S09345_ses-E18065_run-1_bp-chest_vp-ap_dx", "sub-S09345_ses-E2_x")
    for part, name in zip(("Train Set", "Train Set", "Test Set"), names, strict=True):
        film(root / part / "Images" / f"{name}.png")
        given[name] = mask(root / part / "Ground-truths" / f"mask_{name}.png", len(name))
    return given


def test_qata_version_2_is_taken_where_both_are(data):
    given = qata(data / "QaTa-COV19" / "QaTa-COV19-v2")
    film(data / "QaTa-COV19" / "QaTa-COV19-v1" / "Images" / "covid_1.png")
    mask(data / "QaTa-COV19" / "QaTa-COV19-v1" / "Ground-truths" / "mask_covid_1.png")
    film(data / "QaTa-COV19" / "Control_Group" / "normal.png")
    films = by_name(find_films(data, target="pneumonia"))
    assert {name: (f.part, f.patient) for name, f in films.items()} == {
        "covid_1": ("train", "covid_1"),
        "sub-S09345_ses-E18065_run-1_bp-chest_vp-ap_dx": ("train", "sub-S09345"),
        "sub-S09345_ses-E2_x": ("test", "sub-S09345"),
    }
    masks = painted(data, list(films.values()), "pneumonia")
    assert all(np.array_equal(masks[name], given[name]) for name in given)


def test_qata_version_1(data):
    film(data / "QaTa-COV19-v1" / "Images" / "covid_1.png")
    mask(data / "QaTa-COV19-v1" / "Ground-truths" / "mask_covid_1.png")
    (found,) = find_films(data)
    assert (found.source, found.part, found.group) == ("qata", "", "COVID-19")


def test_qata_brings_masks_to_the_size_of_the_film_by_nearest_pixel(data):
    film(data / "Images" / "a.png", (4, 4))
    write_png(data / "Ground-truths" / "mask_a.png", np.eye(2, dtype=bool))
    made = painted(data, find_films(data), "pneumonia")["a"]
    assert made.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_qata_names_films_without_mask_and_masks_without_film(data):
    qata(data)
    (data / "Train Set" / "Ground-truths" / "mask_covid_1.png").rename(
        data / "Train Set" / "Ground-truths" / "mask_covid_2.png"
    )
    problems = sorted(film.problem for film in find_films(data) if film.problem)
    assert len(problems) == 2
    assert "mask_covid_2.png is the mask of no film" in problems[0]
    assert "covid_1.png has no mask mask_covid_1.png" in problems[1]


# === COVID-QU-Ex ===


def covid_qu_ex(root, infection=("COVID-19",)):
    """Both parts of the release in its doubled folders; one film a part and class."""
    given = {}
    for kind, double in (("Infection", True), ("Lung", True)):
        top = root / f"{kind} Segmentation Data"
        top = top / top.name if double else top
        for part in ("Train", "Val", "Test"):
            for group in ("COVID-19", "Non-COVID", "Normal"):
                name = f"{kind}_{part}_{group}".lower()
                film(top / part / group / "images" / f"{name}.png")
                given[name, "lung"] = mask(top / part / group / "lung masks" / f"{name}.png", 1)
                if kind == "Infection" and group in infection:
                    path = top / part / group / "infection masks" / f"{name}.png"
                    given[name, "pneumonia"] = mask(path, 2)
    return given


def test_covid_qu_ex_infection(data):
    given = covid_qu_ex(data)
    films = by_name(find_films(data, target="pneumonia"))
    assert {name: (f.part, f.group) for name, f in films.items()} == {
        "infection_train_covid-19": ("train", "covid-19"),
        "infection_val_covid-19": ("validation", "covid-19"),
        "infection_test_covid-19": ("test", "covid-19"),
    }
    out = data.parent / "out"
    films = list(films.values())
    report = write_masks(films, out, "pneumonia", ["lung"], data=data, progress=False)
    for row in report.index.itertuples():
        infection, lung = given[row.name, "pneumonia"], given[row.name, "lung"]
        assert np.array_equal(read_mask(out / row.mask), infection)
        assert row.share_lung == pytest.approx(lung.mean(), abs=1e-6)
        assert row.target_share_in_lung == pytest.approx(infection[lung].mean(), abs=1e-6)


def test_covid_qu_ex_normals_only_on_request_and_other_pneumonia_never(data):
    covid_qu_ex(data)
    films = find_films(data, target="pneumonia", normals=True)
    assert sorted({film.group for film in films}) == ["covid-19", "normal"]
    masks = painted(data, films, "pneumonia")
    assert not masks["infection_train_normal"].any() and len(masks) == 6


def test_covid_qu_ex_infection_masks_of_other_classes_are_read_where_there_are_any(data):
    covid_qu_ex(data, infection=("COVID-19", "Non-COVID", "Normal"))
    assert len(find_films(data, target="pneumonia")) == 9


def test_covid_qu_ex_lungs(data):
    given = covid_qu_ex(data)
    films = find_films(data, target="lung")
    assert len(films) == 9 and all(film.name.startswith("lung_") for film in films)
    masks = painted(data, films, "lung")
    assert all(np.array_equal(made, given[name, "lung"]) for name, made in masks.items())
    shutil.rmtree(data / "Lung Segmentation Data")
    films = find_films(data, target="lung")
    assert len(films) == 9 and all(film.name.startswith("infection_") for film in films)


# === Lungs of other sets ===


def test_covid_radiography_masks_are_smaller_and_in_three_channels(data):
    for group in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        film(data / group / "images" / f"{group}-1.png", (6, 6))
        small = np.zeros((2, 2, 3), np.uint8)
        small[0, 0] = 255
        write_png(data / group / "masks" / f"{group}-1.png", small)
    films = find_films(data)
    assert [film.group for film in films] == ["covid", "lung_opacity", "normal", "viral pneumonia"]
    expected = np.zeros((6, 6), bool)
    expected[:3, :3] = True
    assert all(np.array_equal(made, expected) for made in painted(data, films, "lung").values())


def test_montgomery_and_shenzhen(data):
    root = data / "Lung Segmentation"
    for name in ("CHNCXR_0001_0", "CHNCXR_0002_1", "MCUCXR_0001_0"):
        film(root / "CXR_png" / f"{name}.png")
    given = {
        "CHNCXR_0001_0": mask(root / "masks" / "CHNCXR_0001_0_mask.png", 1),
        "MCUCXR_0001_0": mask(root / "masks" / "MCUCXR_0001_0.png", 2),
    }
    films = find_films(data)
    assert {film.name: film.group for film in films} == dict.fromkeys(given, "normal")
    masks = painted(data, films, "lung")
    assert all(np.array_equal(masks[name], given[name]) for name in given)


def test_montgomery_unites_both_lungs(data):
    root = data / "MontgomerySet"
    film(root / "CXR_png" / "MCUCXR_0104_1.png")
    left = mask(root / "ManualMask" / "leftMask" / "MCUCXR_0104_1.png", 1)
    right = mask(root / "ManualMask" / "rightMask" / "MCUCXR_0104_1.png", 2)
    (found,) = films = find_films(data)
    assert found.group == "tuberculosis"
    assert np.array_equal(painted(data, films, "lung")["MCUCXR_0104_1"], left | right)


# === Plain folders ===


@pytest.mark.parametrize("form", ["{}.png", "mask_{}.png", "{}_mask.png", "{}.bmp"])
def test_folders_match_by_stem(data, form):
    film(data / "images" / "a b.jpg")
    film(data / "images" / "ü.png")
    given = {}
    for seed, name in enumerate(("a b", "ü")):
        path = data / "masks" / form.format(name)
        given[name] = np.random.default_rng(seed).random(SIZE) < 0.3
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(given[name].astype(np.uint8) * 255).save(path)
    before = {path: path.read_bytes() for path in data.rglob("*.*")}
    films = find_films(data, target="pneumonia")
    masks = painted(data, films, "pneumonia")
    assert all(np.array_equal(masks[name], given[name]) for name in given)
    assert {path: path.read_bytes() for path in data.rglob("*.*")} == before


def test_folders_fail_loudly_on_what_is_unmatched(data):
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
    mask(data / "masks" / "a.png")
    mask(data / "masks" / "c.png")
    problems = [film.problem for film in find_films(data) if film.problem]
    assert "b.png has no mask in" in problems[0] and "b_mask.png" in problems[0]
    assert "c.png is the mask of no film" in problems[1]
    with pytest.raises(StudyError, match=r"b\.png has no mask.*\(and 1 more film\)"):
        painted(data, find_films(data), "pneumonia")
    assert list(painted(data, find_films(data), "pneumonia", skip_bad=True)) == ["a"]


def test_two_masks_of_one_stem_are_not_chosen_among(data):
    film(data / "images" / "a.png")
    mask(data / "masks" / "a.bmp.png")  # another stem
    mask(data / "masks" / "a.png")
    mask(data / "masks" / "a.tif.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(data / "masks" / "a.bmp")
    assert sum("mask of no film" in film.problem for film in find_films(data)) == 3


def test_folders_know_patients_groups_licences_and_normals_from_the_index(data):
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
    mask(data / "masks" / "a.png")
    (data / "index.csv").write_text(
        "image,patient_id,class,licence\nimages/a.png,7,virus,CC0\nimages/b.png,8,normal,CC0\n"
    )
    films = find_films(data, normals=True)
    assert [(f.patient, f.group, f.licence) for f in films] == [
        ("7", "virus", "CC0"),
        ("8", "normal", "CC0"),
    ]
    assert not painted(data, films, "pneumonia")["b"].any()


def test_masks_show_what_the_target_says_and_lungs_the_lungs(data):
    film(data / "images" / "a.png")
    shown = mask(data / "masks" / "a.png", 1)
    for target in ("lung", "pneumonia", "effusion"):
        films = find_films(data, target=target)
        assert np.array_equal(painted(data, films, target, folder=target)["a"], shown)
    lungs = mask(data / "lungs" / "a.png", 2)
    made = painted(data, find_films(data, target="lung"), "lung", folder="lungs")
    assert np.array_equal(made["a"], lungs)
    with pytest.raises(StudyError, match="outlines pneumonia, lung, not effusion"):
        find_films(data, target="effusion")


def test_lungs_that_nobody_outlined_have_no_share_and_no_note(data):
    film(data / "images" / "a.png")
    mask(data / "masks" / "a.png")
    out = data.parent / "out"
    films = find_films(data)
    report = write_masks(films, out, "pneumonia", ["lung"], data=data, progress=False)
    assert np.isnan(report.index["share_lung"]).all() and report.notes == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((16, 12), np.uint8), r"mask of 12×16 pixels, but .*a\.png has 16×12"),
        (np.arange(192, dtype=np.uint8).reshape(SIZE), "several values besides 0"),
        (np.eye(12, 16)[..., None] * [255, 0, 0] + np.eye(12, 16, 1)[..., None] * [0, 255, 0],
         "several values besides 0"),
        (None, "damaged or no"),
    ],
)  # fmt: skip
def test_unsound_masks_are_refused_by_name(data, content, message):
    film(data / "images" / "a.png")
    path = data / "masks" / "a.png"
    path.parent.mkdir()
    if content is None:
        path.write_text("no mask")
    else:
        write_png(path, content.astype(np.uint8))
    with pytest.raises(StudyError, match=message) as error:
        painted(data, find_films(data), "pneumonia")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_only_what_changed_is_painted_again(data):
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
        mask(data / "masks" / f"{name}.png")
    out = data.parent / "out"

    def run():
        films = find_films(data)
        return write_masks(films, out, "pneumonia", [], data=data, progress=False)

    assert run().painted == 2 and run().painted == 0
    changed = mask(data / "masks" / "b.png", 5)
    assert run().painted == 1
    assert np.array_equal(read_mask(out / "b.png"), changed)


def test_masks_given_are_never_written_over(data):
    film(data / "images" / "a.png")
    mask(data / "masks" / "a.png")
    mask(data / "lungs" / "a.png")
    films = find_films(data)
    for folder in ("masks", "lungs"):
        with pytest.raises(StudyError, match="holds films or annotations"):
            write_masks(films, data / folder, "pneumonia", [], data=data, progress=False)


# === COCO ===


def coco(data, shapes, **changes):
    """A file of two films: a is annotated, b is not."""
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
    height, width = SIZE
    content = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "height": height, "width": width}
            for number, name in enumerate("ab", start=1)
        ],
        "categories": [{"id": 1, "name": "Pneumonia"}, {"id": 7, "name": "lung"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": category, "segmentation": segmentation}
            for number, (category, segmentation) in enumerate(shapes)
        ],
    }
    (data / "annotations.json").write_text(json.dumps({**content, **changes}))


def test_coco_polygons_and_run_lengths(data):
    given = np.random.default_rng(3).random(SIZE) < 0.4
    compressed = coco_mask.encode(np.asfortranarray(given, np.uint8))
    runs = {"size": list(SIZE), "counts": compressed["counts"].decode()}
    coco(
        data,
        [
            (1, [[1, 1, 5, 1, 5, 4, 1, 4]]),
            (7, runs),
            (7, {"size": [12, 16], "counts": [3, 2, 187]}),
        ],
    )
    (found,) = films = find_films(data, target="pneumonia")
    assert (found.name, found.source) == ("a", "coco")
    expected = np.zeros(SIZE, bool)
    expected[1:4, 1:5] = True  # from (1, 1) to (5, 4), both in pixel edges
    assert np.array_equal(painted(data, films, "pneumonia")["a"], expected)
    given[3:5, 0] = True  # the second run, down the first column
    assert np.array_equal(painted(data, films, "lung", folder="lungs")["a"], given)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_run_lengths_are_read_back_as_they_were_encoded(height, width, share, seed):
    given_mask = np.random.default_rng(seed).random((height, width)) < share
    encoded = coco_mask.encode(np.asfortranarray(given_mask, np.uint8))
    columns = given_mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(columns, prepend=False, append=False)).tolist()
    if not columns[-1]:
        edges.append(len(columns))
    counts = np.diff([0, *edges]).tolist()
    for form in (encoded["counts"].decode(), counts):
        region = region_of({"size": [height, width], "counts": form}, height, width)
        assert np.array_equal(region, given_mask)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    )
    | st.text().map(lambda text: {"size": [3, 4], "counts": text})
    | st.lists(st.integers(-1, 12)).map(lambda counts: {"size": [3, 4], "counts": counts})
)
def test_any_segmentation_is_a_region_or_malformed(segmentation):
    try:
        assert region_of(segmentation, 3, 4).shape == (3, 4)
    except Malformed:
        pass


def test_coco_film_with_other_categories_only_is_empty(data):
    coco(data, [(7, [[1, 1, 5, 1, 5, 4, 1, 4]])])
    film_a = find_films(data, target="pneumonia")
    layers = film_a[0].truth.layers(film_a[0].film, ["pneumonia"], SIZE)
    assert not layers.regions["pneumonia"].any()
    with pytest.raises(StudyError, match="coco outlines lung, pneumonia, not heart"):
        find_films(data, target="heart")


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "a box only"),
        (None, "a box only"),
        ([[1, 1, 2, 2]], "fewer than three points"),
        ([[1, 1, 2, 2, 3]], "fewer than three points"),
        ([[1, 1, 2, 2, "x", 3]], "no place on a film"),
        ([[1, 1, 2, 2, 1e9, 3]], "no place on a film"),
        ({"size": [12, 15], "counts": [180]}, "another size"),
        ({"size": [12, 16], "counts": [1, 2]}, "do not fill the film"),
        ({"size": [12, 16], "counts": [193]}, "unsound run lengths"),
        ({"size": [12, 16], "counts": "zzz"}, "unsound run lengths"),
        ({"size": [12, 16], "counts": "\u00e9"}, "unsound run lengths"),
        ({"size": [12, 16], "counts": ""}, "do not fill the film"),
        ({"size": [12, 16]}, "unsound run lengths"),
    ],
)
def test_unsound_coco_shapes_are_refused(data, segmentation, message):
    coco(data, [(1, segmentation)])
    with pytest.raises(StudyError, match=message) as error:
        painted(data, find_films(data, target="pneumonia"), "pneumonia")
    assert "annotations.json" in str(error.value) and "a.png" in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"categories": []},
        {"annotations": [{"image_id": 1}]},
        {"images": [{"id": 1, "file_name": "a.png"}]},
        {"images": 5},
        {"annotations": [5]},
        {"images": [{"id": [], "file_name": "a.png", "height": 12, "width": 16}]},
    ],
)
def test_a_damaged_coco_file_is_named(data, changes):
    coco(data, [(1, [[1, 1, 5, 1, 5, 4]])], **changes)
    with pytest.raises(StudyError, match=r"annotations\.json is no sound COCO file"):
        find_films(data, target="pneumonia")


def test_a_coco_film_that_is_missing_or_of_another_size_is_named(data):
    coco(data, [(1, [[1, 1, 5, 1, 5, 4]])])
    film(data / "images" / "a.png", (5, 5))
    with pytest.raises(StudyError, match=r"a\.png as 16×12 pixels, but it has 5×5"):
        painted(data, find_films(data, target="pneumonia"), "pneumonia")
    (data / "images" / "a.png").unlink()
    (found,) = find_films(data, target="pneumonia")
    assert "names film 'a.png', which is not there" in found.problem


def test_only_the_film_whose_coco_shapes_changed_is_painted_again(data):
    shapes = [(1, [[1, 1, 5, 1, 5, 4, 1, 4]])]
    coco(data, shapes)
    out = data.parent / "out"

    def run():
        films = find_films(data, target="pneumonia")
        return write_masks(films, out, "pneumonia", [], data=data, progress=False)

    assert run().painted == 1
    coco(data, shapes, info={"year": 2026})
    assert run().painted == 1  # the films were written anew too
    (data / "annotations.json").touch()
    assert run().painted == 0
