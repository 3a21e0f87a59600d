import subprocess
import sys

import numpy as np
import pytest

from runner.core import ConfigError, DataError, TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.control.atari import AtariFrames, find_rom, make_environment, play

BREAKOUT = "BreakoutNoFrameskip-v4"
NOOP, RIGHT = 0, 2
INPUTS = (TensorSpec("input", "float32", (4, 84, 84)),)
PLAIN = Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb")


def by_content(state):
    """A policy that depends on the state alone."""
    return int(state.astype(int).sum()) % 4


def request(limit=None, seed=0, inputs=INPUTS):
    return Request(inputs, PLAIN, limit, seed)


def write(out, count=5, policy=by_content, **options):
    out.mkdir()
    return AtariFrames(BREAKOUT, count).write(request(**options), out, policy)


def test_states_are_stored_as_raw_bytes_under_the_guides_names(tmp_path):
    samples = write(tmp_path / "out", 20)
    values = np.load(samples.path / "input.npy")
    assert (values.dtype, values.shape) == (np.uint8, (20, 4, 84, 84))
    ids = rows.ids(samples.path)
    assert (ids[0], ids[-1]) == ("state0", "state19")
    assert (samples.has_truth, samples.substitute) == (False, None)
    assert values.max() > 100


def test_same_seed_and_policy_give_the_same_bytes(tmp_path):
    assert write(tmp_path / "1").sha256 == write(tmp_path / "2").sha256


def test_another_seed_gives_other_states(tmp_path):
    assert write(tmp_path / "1").sha256 != write(tmp_path / "2", seed=1).sha256


def test_limit_takes_the_first_states(tmp_path):
    whole, part = write(tmp_path / "1"), write(tmp_path / "2", limit=2)
    np.testing.assert_array_equal(np.load(part.path / "input.npy"), np.load(whole.path / "input.npy")[:2])


def test_first_state_is_the_one_after_the_first_step():
    environment = make_environment(BREAKOUT)
    start, _ = environment.reset(seed=0)
    after, *_ = environment.step(RIGHT)
    seen = []
    first = next(play(BREAKOUT, 0, lambda state: seen.append(state.copy()) or RIGHT))
    np.testing.assert_array_equal(seen[0], start)
    np.testing.assert_array_equal(first, after)


def test_states_are_four_frames_newest_last():
    states = play(BREAKOUT, 0, by_content)
    before, after = next(states).copy(), next(states).copy()
    np.testing.assert_array_equal(before[1:], after[:-1])


def test_ball_is_served_at_the_start_and_after_each_lost_life():
    environment = make_environment(BREAKOUT)
    environment.reset(seed=0)
    lives = [environment.step(NOOP)[4]["lives"] for _ in range(200)]
    assert min(lives) < 4  # without FIRE the five lives would last for ever


def test_play_goes_on_in_another_episode_when_one_ends():
    environment = make_environment(BREAKOUT)
    environment.reset(seed=0)
    steps = 1
    while not environment.step(NOOP)[2]:
        steps += 1
    environment.reset()
    expected, *_ = environment.step(NOOP)
    states = play(BREAKOUT, 0, lambda state: NOOP)
    for _ in range(steps):
        next(states)
    np.testing.assert_array_equal(next(states), expected)


def test_action_that_the_game_lacks_is_an_error():
    with pytest.raises(DataError, match=r"took action 17, BreakoutNoFrameskip-v4 has the actions 0 to 3"):
        next(play(BREAKOUT, 0, lambda state: 17))


def test_unknown_game_is_an_error_with_the_nearest_names():
    with pytest.raises(ConfigError) as caught:
        find_rom("BreakotNoFrameskip-v4")
    assert "did you mean BreakoutNoFrameskip-v4" in caught.value.fix


def test_unknown_game_and_wrong_shape_are_problems_at_once():
    inputs = (TensorSpec("input", "float32", (3, 224, 224)),)
    problems = AtariFrames("Breakout-v9", 0).validate(request(inputs=inputs))
    assert len(problems) == 3


def test_breakout_has_no_problems_and_needs_a_policy():
    reader = AtariFrames(BREAKOUT, 20)
    assert reader.validate(request()) == []
    assert reader.needs_policy


QUIET_CHILD = """
import sys
from runner.core import TensorSpec
from runner.data import Geometry, Request
from runner.tasks.control.atari import AtariFrames, play
geometry = Geometry(resize=None, interpolation="box", crop=None, channels="rgb")
request = Request((TensorSpec("input", "float32", (4, 84, 84)),), geometry, None, 0)
assert AtariFrames("BreakoutNoFrameskip-v4", 2).validate(request) == []
assert not {"ale_py", "gymnasium", "cv2", "PIL", "torch"} & set(sys.modules)
next(play("BreakoutNoFrameskip-v4", 0, lambda state: 0))
"""


def test_nothing_is_printed_and_validation_imports_no_emulator():
    ran = subprocess.run([sys.executable, "-c", QUIET_CHILD], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
