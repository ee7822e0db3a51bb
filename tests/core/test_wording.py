"""Words for reports."""

import pytest
from motion4d.core.wording import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"), [(1, "view", "1 view"), (0, "view", "0 views"), (2, "mesh", "2 meshes"), (1, "mesh", "1 mesh")]
)
def test_numbers_agree_with_their_nouns(number, noun, words):
    assert counted(number, noun) == words
