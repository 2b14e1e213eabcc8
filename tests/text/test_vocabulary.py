"""Names and synonyms of concepts."""

from __future__ import annotations

import pytest

from napari_sam.errors import PromptError
from napari_sam.text.vocabulary import Vocabulary, Word, singular, user_folder


@pytest.mark.parametrize(
    ("plural", "word"),
    [
        ("nuclei", "nucleus"),
        ("mitochondria", "mitochondrion"),
        ("leaves", "leaf"),
        ("bodies", "body"),
        ("patches", "patch"),
        ("glasses", "glass"),
        ("axis", "axis"),
        ("cells", "cell"),
        ("gas", "gas"),
    ],
)
def test_plurals_are_brought_to_the_singular(plural, word):
    assert singular(plural) == word


def test_a_word_is_found_by_name_and_synonym_in_any_spelling():
    vocabulary = Vocabulary([Word("nucleus", synonyms=("cell nucleus", "nuclear body")), Word("red-blood cell")])
    for words in ("Nuclei", "nucleus", "cell NUCLEI", " nuclear  bodies"):
        assert vocabulary.find(words).name == "nucleus"
    assert vocabulary.find("red blood cells").name == "red-blood cell"
    assert vocabulary.find("zebra") is None
    assert vocabulary.find("") is None
    assert vocabulary.names == ["nucleus", "red-blood cell"]


def test_a_synonym_hides_no_name():
    vocabulary = Vocabulary([Word("cell"), Word("blood cell", synonyms=("cell", "corpuscle"))])
    assert vocabulary.find("cells").name == "cell"
    assert vocabulary.find("corpuscles").name == "blood cell"
    vocabulary.add_word(Word("corpuscle"))
    assert vocabulary.find("corpuscles").name == "corpuscle"


def test_a_concept_of_the_user_replaces_one_of_the_same_name():
    vocabulary, concept = Vocabulary([Word("nucleus", about="shipped")]), object()
    vocabulary.add("Nuclei", concept)
    assert vocabulary.find("nucleus").concept is concept


@pytest.mark.parametrize("name", ["a 'quoted' \"name\"", "a/b\\c", "🧬", "x" * 300])
def test_names_of_classes_may_have_any_signs(name):
    vocabulary = Vocabulary()
    vocabulary.add(name, object())
    assert vocabulary.find(name).name == name


@pytest.mark.parametrize("name", ["", "  ", "-_"])
def test_an_empty_name_is_refused(name):
    with pytest.raises(PromptError, match="is empty; give the concept a name"):
        Vocabulary().add(name, object())


def test_ten_thousand_classes_are_found(tmp_path):
    vocabulary = Vocabulary(Word(f"class {i}") for i in range(10_000))
    assert len(vocabulary) == 10_000
    assert vocabulary.find("Class 9999").name == "class 9999"


def test_similar_names_are_suggested():
    vocabulary = Vocabulary([Word("nucleus"), Word("mitochondrion", synonyms=("mito",)), Word("axon")])
    assert vocabulary.similar("nuclues") == ["nucleus"]
    assert vocabulary.similar("qqqq") == []


def test_concepts_in_the_users_folder_are_found_by_their_file_names(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sam.text.vocabulary.data_dir", lambda: tmp_path)
    user_folder().mkdir()
    (user_folder() / "Dividing cell.safetensors").write_bytes(b"")
    assert Vocabulary.default().find("dividing cells").path == user_folder() / "Dividing cell.safetensors"
