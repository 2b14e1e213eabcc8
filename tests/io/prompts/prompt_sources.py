"""Files of prompts, and the keywords of the prompts read from them."""

from __future__ import annotations

import numpy as np

SHAPE = (100, 200)


def keywords(table):
    return [
        {key: np.asarray(value).tolist() for key, value in table.keywords(i).items() if key != "mask"}
        for i in range(len(table))
    ]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path
