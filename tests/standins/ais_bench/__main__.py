"""`python3 -m ais_bench`, as the real one starts."""

from pathlib import Path

exec((Path(__file__).parent / "infer/__main__.py").read_text())
