"""The counts behind the limits."""

import pytest

from last.live.settings import LiveSettings
from last.serve.limits import Rates, ServeLimits, Slots, network_of
from last.utils.errors import UserError


def test_twice_the_rate_may_come_at_once_and_then_as_many_as_the_rate() -> None:
    now = [0.0]
    rates = Rates(2.0, lambda: now[0])
    assert [rates.wait("a") for _ in range(6)] == [0, 0, 0, 0, 0.5, 0.5]
    now[0] = 0.5
    assert rates.wait("b") == 0
    assert [rates.wait("a") for _ in range(2)] == [0, 0.5]
    now[0] = 100.0
    assert [rates.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_the_addresses_that_are_remembered_are_limited() -> None:
    rates = Rates(1.0, lambda: 0.0)
    for number in range(20_000):
        rates.wait(str(number))
    assert len(rates._left) == 10_000


def test_places_are_limited_for_each_address_and_for_all_and_come_back() -> None:
    slots = Slots(3, 2)
    assert [slots.take(name) for name in "aaabb"] == [True, True, False, True, False]
    assert (slots.refusal("a"), slots.refusal("c")) == ("address", "all")
    slots.free("a")
    assert slots.take("c")
    for name in "abc":
        slots.free(name)
    assert (slots.used, dict(slots.taken)) == (0, {})


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_one_client_is_an_address_or_the_network_of_an_address_of_version_6(address: str, network: str) -> None:
    assert network_of(address) == network


def test_impossible_limits_are_refused_together() -> None:
    with pytest.raises(UserError, match=r"max_frames 0 should be from 1 .*; rate nan should be"):
        ServeLimits(max_frames=0, rate=float("nan"))


def test_settings_of_a_stream_stay_within_the_limits_of_the_server() -> None:
    limits = ServeLimits(max_bodies=3)
    assert limits.settings({"window": 1.5}) == LiveSettings(window=1.5, most_bodies=3)
    for wanted, reason in (({"windows": 1}, "no setting 'windows'"), ({"window": 11}, "allows a window of 10 s"),
                           ({"most_bodies": 4}, "3 bodies"), ({"every": 0}, "every: 0 should be"),
                           ({"every": 1e308}, r"every: 1e\+308 should be"), ({"every": -1e308}, "every: -1e"),
                           ({"every": 1.5}, "every: 1.5 should be a whole")):  # fmt: skip
        with pytest.raises(UserError, match=reason):
            limits.settings(wanted)
