"""The models that can be asked for by name: where each comes from, what it must be, and under which licence.

Importing this loads no torch, so that a list of models costs nothing.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from src_models.checkpoints.integrity import Expected
from src_models.model_errors import UnknownModelError

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_EBI = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"
_GWDG = "https://owncloud.gwdg.de/index.php/s"


@dataclass(frozen=True)
class ModelInfo:
    """A model that has a name.

    Attributes
    ----------
    name : str
        As `load_sam` takes it.
    kind : {"default", "vit_t", "vit_b", "vit_l", "vit_h", "unetr"}
        Architecture, as `build_sam` takes it; "unetr" for a `decoder`.
    url : str or None
        Where it is published; None if it comes with this package.
    size_bytes : int or None
        Exact size of the file, where published.
    sha256 : str or None
        Hash of the file, where published.
    licence : str
        SPDX identifier of the weights' licence, where the publisher states one.
    description : str
        One line for a list.
    filename : str
        Name of the file on this machine.
    xxh128 : str or None
        The hash that micro-sam publishes instead of a sha256.
    decoder : ModelInfo or None
        The instance decoder that is published with it in a file of its own, of kind "unetr"; `load_dense_decoder`
        takes it by the name of this model.
    """

    name: str
    kind: str
    url: str | None
    size_bytes: int | None
    sha256: str | None
    licence: str
    description: str
    filename: str
    xxh128: str | None = None
    decoder: ModelInfo | None = None

    @property
    def expected(self) -> Expected:
        """What the file must be."""
        return Expected(self.size_bytes, self.sha256, self.xxh128)

    @property
    def path(self) -> Path:
        """Where the file is, or will be once fetched."""
        if self.url is None:
            return Path(__file__).parents[1] / "weights" / self.filename
        return weights_dir() / self.filename


def _micro_sam(
    name: str, urls: tuple[str, str], xxh128: tuple[str, str], subject: str, licence: str = "CC-BY-4.0"
) -> ModelInfo:
    """A model of micro-sam and its instance decoder; two addresses and two hashes, in this order."""
    kind, name_d = name[:5], f"{name}_decoder"
    about = f"micro-sam: instance decoder of {name}"
    decoder = ModelInfo(name_d, "unetr", urls[1], None, None, licence, about, f"{name_d}.pt", xxh128[1])
    about = f"micro-sam: {kind} finetuned on {subject}"
    return ModelInfo(name, kind, urls[0], None, None, licence, about, f"{name}.pt", xxh128[0], decoder)


def _ebi(name: str, folder: str, xxh128: tuple[str, str], subject: str) -> ModelInfo:
    stem = f"{_EBI}/{folder}/files/{name[:5]}"
    return _micro_sam(name, (f"{stem}.pt", f"{stem}_decoder.pt"), xxh128, subject)


def _gwdg(name: str, shares: tuple[str, str], xxh128: tuple[str, str]) -> ModelInfo:
    urls = f"{_GWDG}/{shares[0]}/download", f"{_GWDG}/{shares[1]}/download"
    return _micro_sam(name, urls, xxh128, _HISTO, _UNSTATED)


_LM = "cells and nuclei in light microscopy"
_EM = "mitochondria and nuclei in electron microscopy"
_HISTO = "nuclei in histopathology (PathoSAM)"
_UNSTATED = "not stated (ask the authors of PathoSAM)"

_MODELS = (
    ModelInfo(
        name="default",
        kind="default",
        url=None,
        size_bytes=17_142_062,
        sha256="e8885c10f67a8774b0e42e484c1c6cabfac051bb26a45e9bfb888d507cd112a0",
        licence="BSD-3-Clause",
        description="small and fast; comes with napari-sam-xl, needs no download",
        filename="default.safetensors",
    ),
    ModelInfo(
        name="vit_t",
        kind="vit_t",
        url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
        size_bytes=40_728_226,
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        licence="Apache-2.0",
        description="MobileSAM: SAM distilled into TinyViT",
        filename="mobile_sam.pt",
    ),
    ModelInfo(
        name="vit_b",
        kind="vit_b",
        url=f"{_META}/sam_vit_b_01ec64.pth",
        size_bytes=375_042_383,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        licence="Apache-2.0",
        description="Segment Anything, base size",
        filename="sam_vit_b_01ec64.pth",
    ),
    ModelInfo(
        name="vit_l",
        kind="vit_l",
        url=f"{_META}/sam_vit_l_0b3195.pth",
        size_bytes=1_249_524_607,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        licence="Apache-2.0",
        description="Segment Anything, large size",
        filename="sam_vit_l_0b3195.pth",
    ),
    ModelInfo(
        name="vit_h",
        kind="vit_h",
        url=f"{_META}/sam_vit_h_4b8939.pth",
        size_bytes=2_564_550_879,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        licence="Apache-2.0",
        description="Segment Anything, huge size",
        filename="sam_vit_h_4b8939.pth",
    ),
    _ebi(
        "vit_t_lm",
        "faithful-chicken/1.1",
        ("72ec5074774761a6e5c05a08942f981e", "3e914a5f397b0312cdd36813031f8823"),
        _LM,
    ),
    _ebi(
        "vit_b_lm",
        "diplomatic-bug/1.2",
        ("fe9252a29f3f4ea53c15a06de471e186", "708b15ac620e235f90bb38612c4929ba"),
        _LM,
    ),
    _ebi(
        "vit_l_lm",
        "idealistic-rat/1.2",
        ("017f20677997d628426dec80a8018f9d", "2faeafa03819dfe03e7c46a44aaac64a"),
        _LM,
    ),
    _ebi(
        "vit_t_em_organelles",
        "greedy-whale/1",
        ("253474720c497cce605e57c9b1d18fd9", "8f897c7bb93174a4d1638827c4dd6f44"),
        _EM,
    ),
    _ebi(
        "vit_b_em_organelles",
        "noisy-ox/1.2",
        ("f3bf2ed83d691456bae2c3f9a05fb438", "bb6398956a6b0132c26b631c14f95ce2"),
        _EM,
    ),
    _ebi(
        "vit_l_em_organelles",
        "humorous-crab/1.2",
        ("810b084b6e51acdbf760a993d8619f2d", "334877640bfdaaabce533e3252a17294"),
        _EM,
    ),
    _gwdg(
        "vit_b_histopathology",
        ("sBB4H8CTmIoBZsQ", "KO9AWqynI7SFOBj"),
        ("ffd1a2cd84570458b257bd95fdd8f974", "6a66194dcb6e36199cbee2214ecf7213"),
    ),
    _gwdg(
        "vit_l_histopathology",
        ("IZgnn1cpBq2PHod", "oIs6VSmkOp7XrKF"),
        ("b591833c89754271023e901281dee3f2", "46aab7765d4400e039772d5a50b55c04"),
    ),
    _gwdg(
        "vit_h_histopathology",
        ("L7AcvVz7DoWJ2RZ", "1qAKxy5H0jgwZvM"),
        ("bd1856dafc156a43fb3aa705f1a6e92e", "3ed9f87e46ad5e16935bd8d722c8dc47"),
    ),
)

_BY_NAME = {info.name: info for info in _MODELS}


def model_names() -> tuple[str, ...]:
    """Names of all registered models, the default one first."""
    return tuple(_BY_NAME)


def model_info(name: str) -> ModelInfo:
    """Look a model up.

    Parameters
    ----------
    name : str
        One of `model_names`.

    Raises
    ------
    UnknownModelError
        If there is none of that name; the message has the closest and all of them.

    Examples
    --------
    >>> model_info("vit_t").licence
    'Apache-2.0'
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    wanted = str(name).lower().replace("-", "_")
    close = difflib.get_close_matches(wanted, _BY_NAME, n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise UnknownModelError(
        f"unknown model {name!r}{hint}; choose one of {', '.join(_BY_NAME)}, or give the path of a checkpoint"
    )


def weights_dir() -> Path:
    """Folder of downloaded weights.

    The environment variable ``NAPARI_SAM_CACHE`` names it; else it is ``napari-sam-xl`` in the user's cache
    folder (``XDG_CACHE_HOME``, on Windows ``LOCALAPPDATA``, else ``~/.cache``). It need not exist.
    """
    own = os.environ.get("NAPARI_SAM_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    # The XDG specification says to ignore relative paths.
    if base and Path(base).is_absolute():
        return Path(base) / "napari-sam-xl"
    return Path.home() / ".cache" / "napari-sam-xl"


def is_cached(info: ModelInfo) -> bool:
    """Whether the weights are on this machine already; looks at the size only, not at the hash."""
    if not info.path.is_file():
        return False
    return info.size_bytes is None or info.path.stat().st_size == info.size_bytes
