"""The vocabulary: names and synonyms of the concepts that are shipped with a model, and of those of the user."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.engine.concepts.concept_bytes import concept_from_bytes
from napari_sam.errors import ConceptError, PromptError
from napari_sam.io.labels.store_paths import data_dir
from src_models.user_paths import existing_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam.engine.concepts.concept_model import ConceptModel

USER_FOLDER = "concepts"
"""Folder of the user's concepts, in the folder of this program's data."""

CONCEPT_SUFFIXES = (".concept", ".safetensors")
"""Endings of the files of concepts that are looked for in a folder."""

_SHIPPED = "weights/concepts"
INDEX = "vocabulary.json"
"""File with names and synonyms of the shipped concepts, beside them."""

_IRREGULAR = {
    "nuclei": "nucleus",
    "nucleoli": "nucleolus",
    "mitochondria": "mitochondrion",
    "bacteria": "bacterium",
    "leaves": "leaf",
    "people": "person",
    "men": "man",
    "women": "woman",
    "vertebrae": "vertebra",
    "algae": "alga",
    "larvae": "larva",
    "villi": "villus",
    "axes": "axis",
    "glomeruli": "glomerulus",
    "spectra": "spectrum",
    "hyphae": "hypha",
    "colonies": "colony",
}


def singular(word: str) -> str:
    """Return the singular of an English noun.

    >>> [singular(word) for word in ("nuclei", "axons", "bodies", "branches", "gas", "glass", "nucleus", "trees")]
    ['nucleus', 'axon', 'body', 'branch', 'gas', 'glass', 'nucleus', 'tree']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or re.search(r"(ss|us|is)$", word) or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-2] if re.search(r"(ch|sh|x|ss|z)es$", word) else word[:-1]


def normal_name(words: str) -> str:
    """Return a name as it is looked up: lower case, single spaces, the last word in the singular.

    >>> normal_name("  Red blood   CELLS ")
    'red blood cell'
    """
    parts = re.sub(r"[-_]", " ", words.casefold()).split()
    return " ".join([*parts[:-1], singular(parts[-1])]) if parts else ""


@dataclass(frozen=True)
class Word:
    """A name of the vocabulary.

    Attributes
    ----------
    name : str
        The name, such as "nucleus".
    path : Path or None
        File of its concept; None for one in memory.
    synonyms : tuple of str
        Other names of the same.
    about : str
        What the concept was learned from, and how well it measures up.
    shipped : bool
        Whether it came with the model.
    """

    name: str
    path: Path | None = None
    synonyms: tuple[str, ...] = ()
    about: str = ""
    shipped: bool = False
    _concept: ConceptModel | None = field(default=None, repr=False, compare=False)

    @cached_property
    def concept(self) -> ConceptModel:
        """The concept; read when it is first used.

        Raises
        ------
        ConceptError
            If its file cannot be read.
        """
        if self._concept is not None:
            return self._concept
        path = existing_path(str(self.path), ConceptError)
        return concept_from_bytes(path.read_bytes(), str(path))


class Vocabulary:
    """Names that stand for concepts; later words replace earlier ones of the same name.

    Parameters
    ----------
    words : iterable of Word
        The words.

    Examples
    --------
    >>> vocabulary = Vocabulary([Word("nucleus", synonyms=("cell nucleus",))])
    >>> vocabulary.find("Cell nuclei").name, vocabulary.find("zebras") is None
    ('nucleus', True)
    """

    def __init__(self, words: Iterable[Word] = ()) -> None:
        self._words: dict[str, Word] = {}
        for word in words:
            self.add_word(word)

    @classmethod
    def default(cls) -> Vocabulary:
        """Return the concepts shipped with the default model, and those in the user's folder."""
        vocabulary = cls(shipped_words())
        vocabulary.add_folder(user_folder())
        return vocabulary

    def __iter__(self) -> Iterator[Word]:
        """Iterate over the words, by name."""
        return iter(sorted(set(self._words.values()), key=lambda word: word.name))

    def __len__(self) -> int:
        """Return the number of words, without synonyms."""
        return len(set(self._words.values()))

    @property
    def names(self) -> list[str]:
        """Names of all words, sorted, without synonyms."""
        return [word.name for word in self]

    def add(self, name: str, concept: ConceptModel, synonyms: Iterable[str] = ()) -> Word:
        """Add a concept, for instance one learned from a class that the user named.

        Raises
        ------
        PromptError
            If the name is empty.
        """
        word = Word(name, synonyms=tuple(synonyms), _concept=concept)
        self.add_word(word)
        return word

    def add_word(self, word: Word) -> None:
        """Add a word.

        Raises
        ------
        PromptError
            If its name is empty.
        """
        keys = [normal_name(name) for name in (*word.synonyms, word.name)]
        if not keys[-1]:
            raise PromptError(f"name {word.name!r} is empty", parameter="name", remedy="give the concept a name")
        for key in filter(None, keys[:-1]):
            if normal_name(self._words.get(key, word).name) != key:  # a synonym never hides a name
                self._words[key] = word
        self._words[keys[-1]] = word

    def add_folder(self, folder: Path) -> None:
        """Add the concept files of a folder, named by their file names; a missing folder holds none."""
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.suffix in CONCEPT_SUFFIXES:
                self.add_word(Word(path.stem, path))

    def find(self, words: str) -> Word | None:
        """Return the word of a name or synonym, in singular or plural; None if it is unknown."""
        return self._words.get(normal_name(words))

    def similar(self, words: str) -> list[str]:
        """Return names that are spelled like `words`, best first."""
        keys = difflib.get_close_matches(normal_name(words), self._words, n=3, cutoff=0.75)
        return list(dict.fromkeys(self._words[key].name for key in keys))


def shipped_folder() -> Path:
    """Return the folder of the shipped concepts."""
    return Path(str(resources.files("src_models"))) / _SHIPPED


def shipped_words() -> list[Word]:
    """Return the words whose concepts come with the default model."""
    folder = shipped_folder()
    index = folder / INDEX
    if not index.is_file():
        return []
    content = json.loads(index.read_text(encoding="utf-8"))
    return [
        Word(entry["name"], folder / entry["file"], tuple(entry["synonyms"]), entry["about"], shipped=True)
        for entry in content["words"]
    ]


def user_folder() -> Path:
    """Return the folder in which concepts of the user are found by their names."""
    return data_dir() / USER_FOLDER
