"""The 44 items of CLAIM, the Checklist for Artificial Intelligence in Medical Imaging.

Numbers and order of the 2024 update: Tejani AS, Klontzas ME, Gatti AA, et al. Radiology: Artificial
Intelligence 2024;6(4):e240300, doi 10.1148/ryai.240300. The wording is our own and shorter.
"""

SECTIONS: dict[str, dict[int, str]] = {
    "Title and abstract": {
        1: "Title or abstract names the AI method and its kind",
        2: "Abstract with design, methods, results, conclusions",
    },
    "Introduction": {
        3: "Background, intended use and role of the method",
        4: "Aims, objectives, hypotheses",
    },
    "Methods: study design": {
        5: "Prospective or retrospective",
        6: "Goal of the study",
    },
    "Methods: data": {
        7: "Sources of the data",
        8: "Inclusion and exclusion criteria",
        9: "Preprocessing",
        10: "Choice of subsets of the data",
        11: "De-identification",
        12: "Missing data",
        13: "Acquisition protocol of the images",
    },
    "Methods: reference standard": {
        14: "How the reference standard was obtained",
        15: "Why this reference standard",
        16: "Who annotated, and their qualification",
        17: "Annotation of the test set",
        18: "Variability between and within readers",
    },
    "Methods: data partitions": {
        19: "Assignment to partitions",
        20: "Level at which partitions are disjoint",
    },
    "Methods: testing data": {21: "Intended sample size"},
    "Methods: model": {
        22: "Description of the model",
        23: "Software, libraries, versions",
        24: "Initial weights",
    },
    "Methods: training": {
        25: "Training approach",
        26: "Choice of the final model",
        27: "Ensembling",
    },
    "Methods: evaluation": {
        28: "Metrics of performance",
        29: "Significance and uncertainty",
        30: "Robustness or sensitivity analysis",
        31: "Explainability or interpretability",
        32: "Evaluation on internal data",
        33: "Testing on external data",
        34: "Clinical trial registration",
    },
    "Results: data": {
        35: "Patients or examinations included and excluded",
        36: "Demographic and clinical characteristics by partition",
    },
    "Results: model performance": {
        37: "Performance with its uncertainty",
        38: "Diagnostic performance with its precision",
        39: "Analysis of failures",
    },
    "Discussion": {
        40: "Limitations",
        41: "Implications for practice",
    },
    "Other information": {
        42: "Study protocol or further technical detail",
        43: "Availability of software, model, data",
        44: "Funding and the funders' role",
    },
}
