"""Films picked for the figures, whatever form their truth has."""

import numpy as np

from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.report.films.gallery import annotated_films


def shown(data, out):
    films = find_films(data)
    report = write_masks(films, out, "pneumonia", ["lung"], data=data, progress=False)
    return annotated_films(report.index, data, ("pneumonia", "lung"), 4, films)


def test_masks_and_outlines_are_shown_alike(tmp_path):
    opacity, lung = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    opacity[2:5, 2:5], lung[1:8, 1:8] = True, True
    write_png(tmp_path / "m" / "images" / "a.png", np.full((9, 9), 7, np.uint8))
    write_png(tmp_path / "m" / "masks" / "a.png", opacity)
    write_png(tmp_path / "m" / "lungs" / "a.png", lung)
    write_png(tmp_path / "l" / "a.png", np.full((9, 9), 7, np.uint8))
    shapes = [
        Shape(label, "rectangle", np.array(corners, float))
        for label, corners in (("pneumonia", [[2, 2], [4, 4]]), ("lung", [[1, 1], [7, 7]]))
    ]
    write_annotation(tmp_path / "l" / "a.json", "a.png", shapes, 9, 9)
    for data in ("m", "l"):
        ((title, film, masks),) = shown(tmp_path / data, tmp_path / f"out {data}")
        assert title == "a (unknown)" and (film == 7).all()
        assert np.array_equal(masks["pneumonia"], opacity)
        assert np.array_equal(masks["lung"], lung)
