"""Metrics of texts."""

from __future__ import annotations

from collections.abc import Sequence

from runner.core import DataError, Figure
from runner.core.lazy import NDArray, np
from runner.tasks.metrics import measured_in


@measured_in("percent", better="higher", is_share=True)
def exact(
    results: Sequence[str], truths: Sequence[str], ignore_case: bool = False, only_alphanumeric: bool = False
) -> NDArray[np.float64]:
    """Return 100 for each text that equals the true one, else 0, [N].

    With `ignore_case` letters are compared without their case; with `only_alphanumeric` other characters than letters
    and digits are dropped from both.
    """
    pairs = zip(results, truths, strict=True)
    right = [
        _compared(result, ignore_case, only_alphanumeric) == _compared(truth, ignore_case, only_alphanumeric)
        for result, truth in pairs
    ]
    return np.where(right, 100.0, 0.0)


class CharacterErrorRate:
    """Inserted, deleted and replaced characters in percent of the true characters of the whole set.

    The number of edits of a text is its Levenshtein distance to the true one. The arguments are those of `exact`.
    """

    def __init__(self, ignore_case: bool = False, only_alphanumeric: bool = False) -> None:
        self.figures = {"cer": Figure(unit="percent", better="lower")}
        self._arguments = (ignore_case, only_alphanumeric)
        self._edits = 0
        self._characters = 0

    def add(self, results: Sequence[str], truths: Sequence[str]) -> None:
        """Add the edits and the characters of some texts."""
        compared = [_compared(result, *self._arguments) for result in results]
        true = [_compared(truth, *self._arguments) for truth in truths]
        self._edits += int(edit_distances(compared, true).sum())
        self._characters += sum(map(len, true))

    def merge(self, other: CharacterErrorRate) -> None:
        """Add the other's edits and characters."""
        self._edits += other._edits
        self._characters += other._characters

    def compute(self) -> dict[str, float]:
        """Return the rate in percent; more than 100 if there are more edits than characters."""
        if not self._characters:
            raise DataError(
                "the true texts have no characters to be compared", "leave only_alphanumeric out of dataset.metrics"
            )
        return {"cer": 100.0 * self._edits / self._characters}


def _compared(text: str, ignore_case: bool, only_alphanumeric: bool) -> str:
    text = "".join(filter(str.isalnum, text)) if only_alphanumeric else text
    return text.casefold() if ignore_case else text


def edit_distances(left: Sequence[str], right: Sequence[str]) -> NDArray[np.int64]:
    """Return the Levenshtein distance of each pair of texts, [N]; all pairs are computed together.

    Of the table of distances between prefixes, one row [N, 1 + longest right text] is held at a time.
    """
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a != b]
    distances = np.zeros(len(left), np.int64)
    if pairs:
        distances[[a != b for a, b in zip(left, right, strict=True)]] = _table(*map(_codes, zip(*pairs, strict=True)))
    return distances


def _table(
    left: tuple[NDArray[np.int64], NDArray[np.int64]], right: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.int64]:
    (left_codes, left_lengths), (right_codes, right_lengths) = left, right
    columns = np.arange(right_codes.shape[1] + 1)
    row = np.tile(columns, (len(left_codes), 1))
    last = row.copy()
    for position, code in enumerate(left_codes.T, 1):
        changed = np.full_like(row, position)
        replaced = row[:, :-1] + (right_codes != code[:, None])
        changed[:, 1:] = np.minimum(row[:, 1:] + 1, replaced)
        row = np.minimum.accumulate(changed - columns, axis=1) + columns  # insertions: 1 a column from any before it
        ends = left_lengths == position
        last[ends] = row[ends]
    return np.asarray(last[np.arange(len(last)), right_lengths], np.int64)


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the characters' codes [N, longest], -1 after the end, and the lengths [N]."""
    lengths = np.array([len(text) for text in texts], np.int64)
    codes = np.full((len(texts), lengths.max()), -1, np.int64)
    codes[np.arange(codes.shape[1]) < lengths[:, None]] = [ord(character) for text in texts for character in text]
    return codes, lengths
