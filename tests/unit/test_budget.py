import pytest

from steps.core.budget import RETRY_CAP, Budget, Patience, backoff, budget, computed_startup
from tests.stubs.scene import make_release

GIB = 2**30
PATIENT = Patience(request=10.0, startup=None, retry_base=1.0)


def test_a_small_model_gets_a_quarter_of_an_hour():
    assert computed_startup(270_000_000, 1) == 900.0


def test_a_large_one_gets_what_a_slow_network_needs():
    assert computed_startup(140 * GIB, 1) == pytest.approx(600 + 140 / 0.08)


def test_replicas_share_the_network():
    assert computed_startup(140 * GIB, 2) == pytest.approx(600 + 2 * 140 / 0.08)


@pytest.mark.parametrize(
    ("setting", "catalog", "expected"), [(None, None, 900.0), (None, 50.0, 50.0), (20.0, 50.0, 20.0)]
)
def test_the_setting_counts_before_the_catalog_and_that_before_the_formula(setting, catalog, expected):
    release = make_release("a", startup_budget_seconds=catalog)
    patience = Patience(request=10.0, startup=setting, retry_base=1.0)
    assert budget(release, 1, patience).startup == expected


def test_the_work_is_abandoned_only_after_every_request_of_a_slow_test_had_its_time():
    assert budget(make_release("a"), 1, PATIENT) == Budget(startup=900.0, testing=120.0)
    assert budget(make_release("a"), 3, PATIENT).testing == 320.0
    assert budget(make_release("a"), 1, PATIENT).total == 1020.0


def test_the_backoff_doubles_up_to_its_cap():
    assert [backoff(n, 2.0) for n in range(3)] == [2.0, 4.0, 8.0]
    assert backoff(50, 2.0) == RETRY_CAP
    assert backoff(3, 0.0) == 0.0
