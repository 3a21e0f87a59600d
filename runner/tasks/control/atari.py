"""Reader of states of an Atari game that the network itself plays."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.core import ConfigError, DataError, Problem, Samples, TensorSpec, bounded, bounds, did_you_mean, track
from runner.core.lazy import NDArray, np
from runner.data import HashFiles, Policy, Request, storage

if TYPE_CHECKING:
    import gymnasium

VERSION = "NoFrameskip-v4"
FRAMES_STACKED = 4
FRAME_PIXELS = 84
STATE_SHAPE = (FRAMES_STACKED, FRAME_PIXELS, FRAME_PIXELS)
FRAMES_SKIPPED = 4
LONGEST_NOOP_START = 30
LONGEST_EPISODE_FRAMES = 108_000
FIRE = 1


@dataclass(frozen=True)
class AtariFrames:
    """`count` states uint8 [4, 84, 84] from greedy play by the network, each saved after its step.

    `game` is a Gym name without built-in frame skipping: BreakoutNoFrameskip-v4. Frames pass through DeepMind's
    wrappers (up to 30 no-op frames at the start, maximum of the last two of every 4 frames, 84x84 grey, FIRE at the
    start and after each lost life, 4 stacked frames); values stay 0 to 255, as in the guide's dqn_preprocess.py.
    """

    game: str
    count: int = bounded(least=1)

    needs_policy = True
    seeded = True
    has_truth = False

    def validate(self, request: Request) -> list[Problem]:
        problems = list(bounds.problems(self, "dataset.reader"))
        try:
            find_rom(self.game)
        except ConfigError as error:
            problems.append(error.problem)
        if [tensor.shape for tensor in request.inputs] != [STATE_SHAPE]:
            shapes = ", ".join(f"{tensor.name} {tensor.shown_shape}" for tensor in request.inputs)
            problems.append(
                Problem(
                    f"states of {self.game} are {list(STATE_SHAPE)}, the model takes {shapes}",
                    f"choose another dataset=, or a model with one input {list(STATE_SHAPE)}",
                )
            )
        return problems

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return storage.stored_bytes((_state_tensor(request),), storage.wanted_count(request.limit, self.count))

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        if policy is None:
            raise ValueError("AtariFrames needs a policy")
        count = storage.wanted_count(request.limit, self.count)
        tensor = _state_tensor(request)
        array = storage.create_array(out, tensor, count)
        with array.path.open("r+b") as file, track("prepare", count, "states") as advance:
            for index, state in zip(range(count), play(self.game, request.seed, policy), strict=False):
                try:
                    storage.write_at(file.fileno(), np.ascontiguousarray(state), array.position(index))
                except OSError as error:
                    raise storage.unwritable(array.path, error) from error
                advance(1)
        ids = [f"state{index}" for index in range(count)]
        return storage.finish(out, request.inputs, ids, note=storage.limit_note(request.limit, self.count, "states"))


def _state_tensor(request: Request) -> TensorSpec:
    return TensorSpec(request.inputs[0].name, "uint8", STATE_SHAPE)


def play(game: str, seed: int, policy: Policy) -> Iterator[NDArray[np.uint8]]:
    """Yield the states [4, 84, 84] after each step of endless greedy play, episode after episode.

    Raises:
        ConfigError: there is no such game.
        DataError: the policy takes an action that the game does not have.
    """
    environment = make_environment(game)
    try:
        actions = int(environment.action_space.n)  # type: ignore[attr-defined]
        state, _ = environment.reset(seed=seed)
        while True:
            action = policy(state)
            if action >= actions:
                raise DataError(
                    f"the network took action {action}, {game} has the actions 0 to {actions - 1}",
                    f"choose the game that the network was trained on, or a network with {actions} outputs",
                )
            state, _, terminated, truncated, _ = environment.step(action)
            yield state
            if terminated or truncated:
                state, _ = environment.reset()
    finally:
        environment.close()


def make_environment(game: str) -> gymnasium.Env[Any, Any]:
    """Return the game in DeepMind's wrappers, with states uint8 [4, 84, 84].

    Raises:
        ConfigError: there is no such game.
    """
    rom = find_rom(game)
    import ale_py
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # suppresses its banner
    # as NoFrameskip-v4 in Gym's registry, which has only 62 of the games: no frame skipping, no sticky actions
    environment = ale_py.AtariEnv(
        game=rom,
        frameskip=1,
        repeat_action_probability=0.0,
        full_action_space=False,
        max_num_frames_per_episode=LONGEST_EPISODE_FRAMES,
    )
    frames = AtariPreprocessing(
        environment, noop_max=LONGEST_NOOP_START, frame_skip=FRAMES_SKIPPED, screen_size=FRAME_PIXELS
    )
    return FrameStackObservation(_fire_at_start(frames), FRAMES_STACKED)


def _fire_at_start(frames: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Press FIRE at the start and after each lost life if the game has it, since a greedy network may never do so."""
    import gymnasium

    if frames.unwrapped.get_action_meanings()[FIRE] != "FIRE":  # type: ignore[attr-defined]
        return frames

    class FireAtStart(gymnasium.Wrapper[Any, Any, Any, Any]):
        lives = 0

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
            self.env.reset(seed=seed, options=options)
            frame, _, _, _, info = self.env.step(FIRE)
            self.lives = info["lives"]
            return frame, info

        def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
            frame, reward, terminated, truncated, info = self.env.step(action)
            if info["lives"] < self.lives and not (terminated or truncated):
                frame, fired, terminated, truncated, info = self.env.step(FIRE)
                reward = float(reward) + float(fired)
            self.lives = info["lives"]
            return frame, reward, terminated, truncated, info

    return FireAtStart(frames)


def find_rom(game: str) -> str:
    """Return the name of the game's ROM in ale-py, without importing ale-py.

    Raises:
        ConfigError: ale-py is not installed, or has no such game.
    """
    roms = _roms()
    if game in roms:
        return roms[game]
    raise ConfigError(
        f"dataset.reader.game is {game!r}, which is no game of ale-py",
        did_you_mean(str(game), roms, 3) or f"choose one of: {', '.join(roms)}",
    )


def _roms() -> dict[str, str]:
    """Return ROM names by Gym name: BreakoutNoFrameskip-v4 -> breakout."""
    spec = importlib.util.find_spec("ale_py")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("ale-py, which plays Atari games, is not installed", "pip install ale-py gymnasium")
    folder = Path(spec.submodule_search_locations[0]) / "roms"
    names = sorted(path.stem for path in folder.glob("*.bin"))
    return {"".join(word.capitalize() for word in name.split("_")) + VERSION: name for name in names}
