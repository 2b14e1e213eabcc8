"""Registered models: name, origin, size, hash and licence.

Importing this module loads no torch, so that listing models is fast.
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
_META_2 = "https://dl.fbaipublicfiles.com/segment_anything_2"
_EBI = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"
_GWDG = "https://owncloud.gwdg.de/index.php/s"


@dataclass(frozen=True)
class ModelInfo:
    """A registered model.

    Attributes
    ----------
    name : str
        Name for `load_network`.
    kind : str
        Architecture, as for `build_network`; "unetr" for a `decoder`.
    url : str or None
        Published address; None if the file comes with this package.
    size_bytes : int or None
        Exact size of the file, where published.
    sha256 : str or None
        Hash of the file, where published.
    licence : str
        SPDX identifier of the weights' licence, where the publisher states one.
    description : str
        One line.
    filename : str
        Name of the file on this machine.
    xxh128 : str or None
        Hash of micro-sam's files, which are published without a sha256.
    decoder : ModelInfo or None
        Instance decoder, of kind "unetr", published in a file of its own; `load_dense_decoder` loads it by the name
        of this model.
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
        """The published size and hash."""
        return Expected(self.size_bytes, self.sha256, self.xxh128)

    @property
    def path(self) -> Path:
        """Path of the file, present or not."""
        if self.url is None:
            return Path(__file__).parents[1] / "weights" / self.filename
        return weights_dir() / self.filename


def _sam(kind: str, suffix: str, size_bytes: int, sha256: str, size: str) -> ModelInfo:
    """Return one of the models of the Segment Anything paper."""
    file = f"sam_{kind}_{suffix}.pth"
    description = f"Segment Anything, {size} size"
    return ModelInfo(kind, kind, f"{_META}/{file}", size_bytes, sha256, "Apache-2.0", description, file)


def _sam2(kind: str, size_bytes: int | None, sha256: str) -> ModelInfo:
    """Return one of the models of the SAM 2 paper, by its kind, such as "sam2.1_tiny"."""
    version, size = kind.split("_", 1)
    file = f"{version}_hiera_{size}.pt"
    folder = "092824" if version == "sam2.1" else "072824"
    number = version.removeprefix("sam") if version == "sam2.1" else "2.0"
    description = f"Segment Anything {number}, {size.replace('_plus', '+')} size"
    return ModelInfo(kind, kind, f"{_META_2}/{folder}/{file}", size_bytes, sha256, "Apache-2.0", description, file)


def _micro_sam(
    name: str, urls: tuple[str, str], xxh128: tuple[str, str], subject: str, licence: str = "CC-BY-4.0"
) -> ModelInfo:
    """Return a model of micro-sam with its instance decoder; network before decoder in `urls` and `xxh128`."""
    kind, decoder_name = name[:5], f"{name}_decoder"
    about = f"micro-sam: instance decoder of {name}"
    decoder = ModelInfo(decoder_name, "unetr", urls[1], None, None, licence, about, f"{decoder_name}.pt", xxh128[1])
    about = f"micro-sam: {kind} finetuned on {subject}"
    return ModelInfo(name, kind, urls[0], None, None, licence, about, f"{name}.pt", xxh128[0], decoder)


def _bioimage_io(name: str, folder: str, *xxh128: str) -> ModelInfo:
    """Return a model of the BioImage Model Zoo, for light or electron microscopy."""
    stem = f"{_EBI}/{folder}/files/{name[:5]}"
    subject = _LIGHT_MICROSCOPY if name.endswith("_lm") else _ELECTRON_MICROSCOPY
    return _micro_sam(name, (f"{stem}.pt", f"{stem}_decoder.pt"), (xxh128[0], xxh128[1]), subject)


def _pathosam(name: str, shares: tuple[str, str], *xxh128: str) -> ModelInfo:
    """Return a model of PathoSAM."""
    urls = f"{_GWDG}/{shares[0]}/download", f"{_GWDG}/{shares[1]}/download"
    return _micro_sam(name, urls, (xxh128[0], xxh128[1]), _HISTOPATHOLOGY, _NOT_STATED)


_LIGHT_MICROSCOPY = "cells and nuclei in light microscopy"
_ELECTRON_MICROSCOPY = "mitochondria and nuclei in electron microscopy"
_HISTOPATHOLOGY = "nuclei in histopathology (PathoSAM)"
_NOT_STATED = "not stated (ask the authors of PathoSAM)"

# fmt: off
_SAM = (  # kind, suffix of the file, bytes, sha256, size
    ("vit_b", "01ec64", 375_042_383, "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", "base"),
    ("vit_l", "0b3195", 1_249_524_607, "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", "large"),
    ("vit_h", "4b8939", 2_564_550_879, "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", "huge"),
)
_SAM2 = (  # kind, bytes where published, sha256
    ("sam2.1_tiny", 156_008_466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
    ("sam2.1_small", 184_416_285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    ("sam2.1_base_plus", 323_606_802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
    ("sam2.1_large", 898_083_611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
    ("sam2_tiny", 155_906_050, "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125"),
    ("sam2_small", None, "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3"),
    ("sam2_base_plus", None, "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),
    ("sam2_large", 897_952_466, "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b"),
)
_BIOIMAGE_IO = (  # name, folder, xxh128 of network and decoder
    ("vit_t_lm", "faithful-chicken/1.1", "72ec5074774761a6e5c05a08942f981e", "3e914a5f397b0312cdd36813031f8823"),
    ("vit_b_lm", "diplomatic-bug/1.2", "fe9252a29f3f4ea53c15a06de471e186", "708b15ac620e235f90bb38612c4929ba"),
    ("vit_l_lm", "idealistic-rat/1.2", "017f20677997d628426dec80a8018f9d", "2faeafa03819dfe03e7c46a44aaac64a"),
    ("vit_t_em_organelles", "greedy-whale/1", "253474720c497cce605e57c9b1d18fd9", "8f897c7bb93174a4d1638827c4dd6f44"),
    ("vit_b_em_organelles", "noisy-ox/1.2", "f3bf2ed83d691456bae2c3f9a05fb438", "bb6398956a6b0132c26b631c14f95ce2"),
    ("vit_l_em_organelles", "humorous-crab/1.2",
     "810b084b6e51acdbf760a993d8619f2d", "334877640bfdaaabce533e3252a17294"),
)
_PATHOSAM = (  # name, shares and xxh128 of network and decoder
    ("vit_b_histopathology", ("sBB4H8CTmIoBZsQ", "KO9AWqynI7SFOBj"),
     "ffd1a2cd84570458b257bd95fdd8f974", "6a66194dcb6e36199cbee2214ecf7213"),
    ("vit_l_histopathology", ("IZgnn1cpBq2PHod", "oIs6VSmkOp7XrKF"),
     "b591833c89754271023e901281dee3f2", "46aab7765d4400e039772d5a50b55c04"),
    ("vit_h_histopathology", ("L7AcvVz7DoWJ2RZ", "1qAKxy5H0jgwZvM"),
     "bd1856dafc156a43fb3aa705f1a6e92e", "3ed9f87e46ad5e16935bd8d722c8dc47"),
)
# fmt: on

_MODELS = (
    ModelInfo(
        name="default",
        kind="default",
        url=None,
        size_bytes=17_222_852,
        sha256="b8025c106188aac6fc082be8909fd8f472b7f2ab0d980f854ae7675a23971626",
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
    *(_sam(*row) for row in _SAM),
    *(_sam2(*row) for row in _SAM2),
    *(_bioimage_io(*row) for row in _BIOIMAGE_IO),
    *(_pathosam(*row) for row in _PATHOSAM),
)

_BY_NAME = {info.name: info for info in _MODELS}


def model_names() -> tuple[str, ...]:
    """Return the names of all registered models, the default model first."""
    return tuple(_BY_NAME)


def model_info(name: str) -> ModelInfo:
    """Look up a model.

    Parameters
    ----------
    name : str
        One of `model_names`.

    Raises
    ------
    UnknownModelError
        If there is no such model; the message lists similar names and all names.

    Examples
    --------
    >>> model_info("vit_t").licence
    'Apache-2.0'
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    similar = difflib.get_close_matches(str(name).lower().replace("-", "_"), _BY_NAME, n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
    raise UnknownModelError(
        f"unknown model {name!r}{hint}",
        parameter="model",
        remedy=f"choose one of {', '.join(_BY_NAME)}, or give the path of a checkpoint",
    )


def weights_dir() -> Path:
    """Return the folder of downloaded weights, which may not exist yet.

    The environment variable ``NAPARI_SAM_CACHE`` names it; otherwise it is ``napari-sam-xl`` in the user's cache
    folder (``XDG_CACHE_HOME``, on Windows ``LOCALAPPDATA``, otherwise ``~/.cache``).
    """
    chosen = os.environ.get("NAPARI_SAM_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    # The XDG specification says to ignore relative paths.
    if base and Path(base).is_absolute():
        return Path(base) / "napari-sam-xl"
    return Path.home() / ".cache" / "napari-sam-xl"


def is_cached(info: ModelInfo) -> bool:
    """Whether the weights are on this machine; compares the size, not the hash."""
    if not info.path.is_file():
        return False
    return info.size_bytes is None or info.path.stat().st_size == info.size_bytes
