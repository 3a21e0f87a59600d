import pytest

from runner.config.schema import in_language
from runner.core import ConfigError


@pytest.mark.parametrize(
    ("text", "language", "told"),
    [
        ("plain", "zh", "plain"),
        ({"en": "plain", "zh": "中文"}, "zh", "中文"),
        ({"en": "plain", "zh": "中文"}, "en", "plain"),
        ({"en": "plain"}, "zh", "plain"),
        (None, "en", None),
    ],
)
def test_a_text_is_told_in_its_language_or_in_english(text, language, told) -> None:
    assert in_language(text, language) == told


@pytest.mark.parametrize("text", ["{zh: x}", "{en: x, fr: y}", "{en: 1}", "[x]"])
def test_a_text_without_english_or_in_another_language_is_refused(run_config, text) -> None:
    with pytest.raises(ConfigError, match=r"model\.deviations\[0\] is .*\n? *fix: give a text, or one by language"):
        run_config("model=dcgan", f"model.deviations=[{text}]")
