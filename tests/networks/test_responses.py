import pytest

from runner.networks import _responses


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://2130706433/", "http://169.254.169.254/", "http://[::1]/"])
def test_a_host_inside_this_network_is_told_from_others(url: str) -> None:
    assert _responses._is_inside(url)
    assert not _responses._is_inside("http://8.8.8.8/")
