"""The protocols that a file lists itself: names of all kinds, and refusals that name what is ambiguous."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.preparation.formats.listed_protocols import read_protocols
from last.data.preparation.formats.restricted_pickle import PickledArray
from last.utils.errors import UserError


def array_of_numbers() -> PickledArray:
    made = PickledArray()
    made.array = np.arange(3, dtype=np.int64)
    return made


def lists(**named: str) -> dict[str, list[str]]:
    return {name: list(clips) for name, clips in named.items()}


@pytest.mark.parametrize(
    ("split", "protocols"),
    [
        (None, {}),
        ({}, {}),
        (lists(train="ab", val="c"), {"file": ("ab", "c")}),
        (lists(Train="ab", Val="c"), {"file": ("ab", "c")}),
        (lists(training="ab", testing="c"), {"file": ("ab", "c")}),
        (
            lists(xsub_train="ab", xsub_val="c", xview_train="ac", xview_val="b"),
            {"xsub": ("ab", "c"), "xview": ("ac", "b")},
        ),
        (lists(train1="a", test1="b", train2="b", test2="a"), {"split1": ("a", "b"), "split2": ("b", "a")}),
        (lists(train="a", val="b", test="c"), {"file_val": ("a", "b"), "file_test": ("a", "c")}),
        (lists(train_fold_3="a", eval_fold_3="b"), {"fold_3": ("a", "b")}),
        ({"xsub-train": ["a"], "xsub.test": ["b"]}, {"xsub": ("a", "b")}),
        ({"train": ("a",), "val": {"b"}}, {"file": ("a", "b")}),
    ],
)  # fmt: skip
def test_lists_make_protocols_by_their_names(split: object, protocols: dict[str, tuple[str, str]]) -> None:
    expected = {name: {"train": set(train), "test": set(test)} for name, (train, test) in protocols.items()}
    assert read_protocols(split, "x.pkl") == expected


@pytest.mark.parametrize(
    ("split", "complaint"),
    [
        (5, "`split` should be a dict"),
        (["a"], "`split` should be a dict"),
        (True, "`split` should be a dict"),
        (lists(train="a"), "its split 'file' has no test or val list"),
        (lists(xsub_val="a", xsub_test="b"), "its split 'xsub' has no train list"),
        (lists(train="ab", val="bc"), "in both the train and the val list .*1 clip, such as 'b'"),
        (lists(train="a", val="b", test="a"), "both the train and the test list"),
        (lists(train="a", trainval="b"), "nothing says what the split list 'trainval' is for"),
        (lists(fold1="a", fold2="b"), "nothing says what the split list 'fold1' is for"),
        ({"train": ["a"], 3: ["b"]}, "nothing says what the split list '3' is for"),
        ({"train": ["a"], "Train": ["b"], "val": ["c"]}, "there are two split lists for train of file"),
        ({"train": None, "val": ["b"]}, "the split list 'train' should be a list of clip names, not nothing"),
        ({"train": 5, "val": ["b"]}, "not a value of the type int"),
        ({"train": True, "val": ["b"]}, "not a value of the type bool"),
        ({"train": "abc", "val": ["b"]}, "not a value of the type str"),
        ({"train": {"a": 1}, "val": ["b"]}, "not a value of the type dict"),
        ({"train": ["a"], "val": ["b", 3]}, "the split list 'val' holds '3', which is not a clip name"),
        ({"train": ["a"], "val": []}, "the split list 'val' is empty"),
        ({f"{'x' * 300}_train": ["a"]}, "is too long for a split's name"),
        ({"train": ["a"], "val": [array_of_numbers()]}, "holds an array of int64, which is not a clip name"),
    ],
)
def test_what_is_not_clear_is_refused_by_name(split: object, complaint: str) -> None:
    with pytest.raises(UserError, match=f"^x.pkl: .*{complaint}"):
        read_protocols(split, "x.pkl")


def test_arrays_of_names_are_lists_and_arrays_of_numbers_are_not() -> None:
    names, numbers = PickledArray(), PickledArray()
    names.array, numbers.array = np.array(["a", "b"]), np.array([0, 1])
    assert read_protocols({"train": names, "val": ["c"]}, "x.pkl")["file"]["train"] == {"a", "b"}
    with pytest.raises(UserError, match="holds '0', which is not a clip name"):
        read_protocols({"train": ["a"], "val": numbers}, "x.pkl")


def test_names_that_read_alike_are_the_same_clip() -> None:
    with pytest.raises(UserError, match="both"):
        read_protocols({"train": ["\u00e9"], "val": ["e\u0301"]}, "x.pkl")


@given(st.dictionaries(st.text(max_size=12) | st.integers(), st.lists(st.text(max_size=3), max_size=3) | st.none()))
def test_anything_is_read_or_refused_and_no_clip_ever_trains_and_tests(split: dict[object, object]) -> None:
    try:
        protocols = read_protocols(split, "x.pkl")
    except UserError:
        return
    for parts in protocols.values():
        assert parts["train"] and parts["test"] and not parts["train"] & parts["test"]
