"""Classes of objects that compete: probabilities, certainty, cross-validation, doubtful objects, errors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from napari_sam.engine.concepts.concept_model import ConceptModel
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.concepts.object_classifier import ConfusionMatrix, ObjectClassifier
from napari_sam.errors import ConceptError

LAYOUT = FeatureLayout("sha", "default", (("embedding", 6), ("size", 2)))
CENTRES = {"round": 0.0, "long": 3.0, "it's / \U0001f52c": 6.0}


def sample(name, count, seed=0, spread=1.0):
    rng = np.random.default_rng([seed, *name.encode()])
    return (CENTRES[name] + rng.normal(0, spread, (count, 8))).astype(np.float32)


@pytest.fixture(params=["logistic", "forest"])
def classifier(request):
    classifier = ObjectClassifier(LAYOUT, request.param)
    for name, count in zip(CENTRES, (30, 10, 5), strict=True):
        classifier.add(sample(name, count), name, LAYOUT)
    return classifier


def test_objects_get_the_class_of_similar_examples(classifier):
    for name in CENTRES:
        predicted = classifier.predict(sample(name, 50, seed=1))
        assert predicted.count(name) >= 45


def test_probabilities_sum_to_one_and_their_margin_is_the_certainty(classifier):
    features = np.concatenate([sample(name, 20, seed=2, spread=2.0) for name in CENTRES])
    probabilities = classifier.predict_proba(features)
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    ordered = np.sort(probabilities, axis=1)
    np.testing.assert_allclose(classifier.certainty(features), ordered[:, -1] - ordered[:, -2])


def test_objects_between_classes_are_the_most_doubtful(classifier):
    between = np.full((1, 8), 1.5, np.float32)
    features = np.concatenate(
        [sample("round", 10, seed=3, spread=0.1), between, sample("long", 10, seed=3, spread=0.1)]
    )
    assert classifier.most_doubtful(features, 1).tolist() == [10]
    assert sorted(classifier.most_doubtful(features).tolist()) == list(range(21))


def test_cross_validation_counts_every_example_once(classifier):
    confusion = classifier.confusion(folds=3)
    assert confusion.classes == tuple(CENTRES)
    assert confusion.counts.sum(1).tolist() == [30, 10, 5]
    assert confusion.accuracy > 0.9
    assert confusion.left_out == ()


def test_cross_validation_does_not_see_the_example_that_it_tests():
    rng = np.random.default_rng(0)
    classifier = ObjectClassifier()
    classifier.add(rng.normal(0, 1, (200, 10)), ["a", "b"] * 100)  # there is nothing to learn
    assert 0.35 < classifier.confusion().accuracy < 0.65


def test_the_confusion_matrix_is_that_of_scikit_learn():
    truth, predicted = [0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 0]
    matrix = ConfusionMatrix(("a", "b", "c"), confusion_matrix(truth, predicted))
    assert matrix.accuracy == pytest.approx(3 / 6)
    assert matrix.recall == pytest.approx({"a": 1 / 2, "b": 2 / 3, "c": 0.0})
    precision = matrix.precision
    assert (precision["a"], precision["b"]) == pytest.approx((1 / 3, 2 / 3))
    assert np.isnan(precision["c"])


def test_a_class_with_one_example_is_predicted_but_not_tested(classifier):
    classifier.add(np.full(8, -9.0), "rare")
    assert classifier.predict_proba(np.full((2, 8), -9.0)).shape == (2, 4)
    confusion = classifier.confusion()
    assert confusion.left_out == ("rare",)
    assert confusion.counts[3].sum() == 0


def test_examples_added_later_count():
    classifier = ObjectClassifier()
    classifier.add([[0.0], [1.0]], ["a", "b"])
    assert classifier.predict([[0.1]]) == ["a"]
    classifier.add([[-1.0], [-1.2], [-0.9]], "c")
    assert classifier.predict([[-1.0], [0.1]]) == ["c", "a"]
    assert classifier.examples == {"a": 1, "b": 1, "c": 3}


def test_a_copy_leaves_the_original_alone():
    classifier = ObjectClassifier()
    classifier.add([[0.0], [1.0]], ["a", "b"])
    copied = classifier.copy(FeatureLayout("sha", "m", (("size", 1),)))
    copied.add([[2.0]], "c")
    assert (classifier.classes, copied.classes) == (("a", "b"), ("a", "b", "c"))


def test_concepts_compete():
    concepts = []
    for name in ("round", "long"):
        concept = ConceptModel(LAYOUT, name)
        concept.add(sample(name, 4), True)
        concept.add(sample("it's / \U0001f52c", 3), False)
        concepts.append(concept)
    classifier = ObjectClassifier.from_concepts(concepts)
    assert classifier.examples == {"round": 4, "long": 4}
    assert classifier.predict(sample("long", 5, seed=4), LAYOUT) == ["long"] * 5


def test_ten_thousand_objects_and_many_classes():
    classifier = ObjectClassifier()
    rng = np.random.default_rng(0)
    classifier.add(rng.normal(0, 1, (300, 20)), [f"class {i % 100}" for i in range(300)])
    assert classifier.predict_proba(rng.normal(0, 1, (10_000, 20))).shape == (10_000, 100)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: ObjectClassifier(method="magic"), "method 'magic'"),
        (lambda: ObjectClassifier().fit(), "of 0 classes"),
        (lambda: _with_one_class().predict([[1.0]]), "of 1 class "),
        (lambda: _with_one_class().add([[1.0, 2.0]], "b"), "1 finite columns"),
        (lambda: _with_one_class().add([[np.nan]], "b"), "not finite"),
        (lambda: _with_one_class().add([["x"]], "b"), "not finite"),
        (lambda: _with_one_class().add([[1.0], [2.0]], ["b"]), "1 classes for 2 objects"),
        (lambda: _with_one_class().add([[1.0]], ""), "without a name"),
        (lambda: _with_one_class().confusion(), "of 1 class "),
        (lambda: ObjectClassifier.from_concepts([]), "0 concepts"),
        (lambda: ObjectClassifier(LAYOUT).add(np.zeros(8), "a", FeatureLayout("x", "other", LAYOUT.groups)), "'other'"),
    ],
)
def test_bad_input_is_refused(refused, message):
    with pytest.raises(ConceptError, match=message) as caught:
        refused()
    assert caught.value.remedy


def _with_one_class():
    classifier = ObjectClassifier()
    classifier.add([[0.0], [1.0]], "a")
    return classifier
