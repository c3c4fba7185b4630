"""Which labels are likely wrong, from probabilities."""

import numpy as np

from last.inspection.confident_learning import likely_wrong, mean_probabilities


def test_the_usual_probabilities_of_a_clip_are_the_means_of_the_other_clips_with_its_label() -> None:
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.2, 0.8]])
    usual = mean_probabilities(probabilities, np.array([0, 0, 0, 1]))
    assert np.allclose(usual[:3], [[0.3, 0.7], [0.5, 0.5], [0.7, 0.3]])
    assert np.isnan(usual[3]).all()


def test_a_class_without_clips_is_never_suggested() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    assert not len(likely_wrong(probabilities, np.array([0, 0, 0])))


def test_swapped_labels_among_sure_ones_are_found_and_the_largest_margin_comes_first() -> None:
    labels = np.repeat([0, 1, 2], 10)
    probabilities = np.full((30, 3), 0.05)
    probabilities[np.arange(30), labels] = 0.9
    probabilities[4] = [0.1, 0.85, 0.05]
    probabilities[17] = [0.02, 0.03, 0.95]
    found = likely_wrong(probabilities, labels)
    assert found.clips.tolist() == [17, 4]
    assert found.suggested.tolist() == [2, 1]
    assert np.allclose(found.given, [0.03, 0.1])
    assert np.allclose(found.probability, [0.95, 0.85])


def test_a_class_that_students_confuse_with_another_does_not_make_all_of_its_clips_wrong() -> None:
    labels = np.repeat([0, 1, 2], 20)
    probabilities = np.full((60, 3), 0.05)
    probabilities[np.arange(60), labels] = 0.9
    probabilities[20:40] = [0.7, 0.25, 0.05]  # clips of the second class look more like the first
    probabilities[25] = [0.1, 0.1, 0.8]
    assert likely_wrong(probabilities, labels, 0.5).clips.tolist() == [25]
    assert likely_wrong(probabilities, labels, 0.5).suggested.tolist() == [2]


def test_a_wrong_label_in_a_small_class_is_found() -> None:
    labels = np.repeat([0, 1], 4)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    probabilities[2] = [0.05, 0.95]
    assert likely_wrong(probabilities, labels, 2.5).clips.tolist() == [2]


def test_clips_without_probabilities_or_below_the_least_score_are_not_returned() -> None:
    labels = np.repeat([0, 1], 4)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    probabilities[0], probabilities[1], probabilities[6] = np.nan, [0.45, 0.55], [0.9, 0.1]
    assert likely_wrong(probabilities, labels, 0.0).clips.tolist() == [6, 1]
    assert likely_wrong(probabilities, labels, 2.5).clips.tolist() == [6]
    assert not len(likely_wrong(np.full((2, 2), np.nan), np.array([0, 1])))
