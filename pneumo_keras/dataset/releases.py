"""Public data sets that can be fetched: what they are, and where a person finds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A public data set.

    Attributes:
        title: Its name in full.
        client: What downloads it, `kaggle` or `git`.
        address: The handle or address that the client takes.
        page: The page for people, with its terms.
        licence: As its publishers state it, or that they do not.
        size: Films, and volume where it is known.
        source: The adapter that reads it; empty where it comes without annotations.
        films: How many films of the Kermany set must arrive, where there is no adapter to ask.
        afterwards: What to do next.
    """

    title: str
    client: str
    address: str
    page: str
    licence: str
    size: str
    source: str
    afterwards: str
    films: int = 0


RELEASES = {
    "kermany": Release(
        title="Kermany et al., chest X-rays of children",
        client="kaggle",
        address="paultimothymooney/chest-xray-pneumonia",
        page="https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia",
        licence="CC BY 4.0",
        size="5,856 films, 1.2 GB",
        source="",
        afterwards="it has no outlines: make some with python -m pneumo_keras annotate DIR",
        films=5856,
    ),
    "qata": Release(
        title="QaTa-COV19",
        client="kaggle",
        address="aysendegerli/qatacov19-dataset",
        page="https://www.kaggle.com/datasets/aysendegerli/qatacov19-dataset",
        licence="not known here: read it on the page",
        size="9,258 films with masks in version 2",
        source="qata",
        afterwards="run it with python -m pneumo_keras run --data DIR",
    ),
    "covid-qu-ex": Release(
        title="COVID-QU-Ex",
        client="kaggle",
        address="anasmohammedtahir/covidqu",
        page="https://www.kaggle.com/datasets/anasmohammedtahir/covidqu",
        licence="not known here: read it on the page",
        size="33,920 films with lungs, 5,826 for infection",
        source="covid_qu_ex",
        afterwards="run it with python -m pneumo_keras run --data DIR",
    ),
    "general-blockchain": Release(
        title="General Blockchain COVID-19 chest X-ray segmentations",
        client="git",
        address="https://github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset.git",
        page="https://github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset",
        licence="CC BY 4.0; of each film, see its metadata.csv",
        size="100 films",
        source="general_blockchain",
        afterwards="run it with python -m pneumo_keras run --data DIR",
    ),
}
