"""What a configuration says of a callable, without importing it."""

from runner.config.callables import Target, with_nested

LINEAR = Target("torch.nn.Linear", {"out_features": 4}, positional=(3,))
ACTIVATION = Target("torch.nn.LeakyReLU", {"negative_slope": 0.5})
NETWORK = Target("torch.nn.Sequential", positional=(LINEAR, ACTIVATION))


def test_a_target_is_shown_as_a_call_with_those_among_its_arguments() -> None:
    assert str(NETWORK) == (
        "torch.nn.Sequential(torch.nn.Linear(3, out_features=4), torch.nn.LeakyReLU(negative_slope=0.5))"
    )


def test_targets_among_arguments_are_found_after_the_one_that_takes_them() -> None:
    assert [each.name for each in with_nested(NETWORK)] == [
        "torch.nn.Sequential",
        "torch.nn.Linear",
        "torch.nn.LeakyReLU",
    ]


def test_targets_in_lists_and_mappings_and_within_targets_are_found() -> None:
    outer = Target("zoo.b", {"parts": [{"body": NETWORK}]})
    assert [each.name for each in with_nested(outer)][:3] == ["zoo.b", "torch.nn.Sequential", "torch.nn.Linear"]
