"""Recognition: pictures of a line of text in, the text out; exact matches and character errors."""

from runner.tasks.recognition.ctc import Ctc
from runner.tasks.recognition.metrics import CharacterErrorRate, exact
from runner.tasks.recognition.preview import write_texts
from runner.tasks.recognition.synthetic import SyntheticWords
from runner.tasks.recognition.words import Words
