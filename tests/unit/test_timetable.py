import zoneinfo

import pytest

from workflows.timetable import check_schedule, check_timezone

GOOD = (
    *(
        "0 3 * * *",
        "*/10 * * * *",
        "0 5 * * 6",
        "0 0 31 2 *",
        "5,35 0-6 1-15/2 jan-mar MON-FRI",
        "? ? ? ? ?",
        "0 8/2 * * *",
    ),
    *("@daily", "@hourly"),
)
BAD = {
    "banana": "five fields",
    "": "five fields",
    "0 3 * * * *": "five fields",
    "99 3 * * *": "its minute is '99', where 0 to 59 can be",
    "0 24 * * *": "its hour is '24'",
    "0 3 0 * *": "its day of the month is '0'",
    "0 3 * 13 *": "its month is '13'",
    "0 3 * * 7": "its day of the week is '7', where 0 to 6 can be",
    "0 3 * * fry": "its day of the week is 'fry'",
    "6-3 * * * *": "its minute is '6-3'",
    "*/0 * * * *": "its minute is '*/0'",
    "*-3 * * * *": "its minute is '*-3'",
    "1,,2 * * * *": "its minute is '1,,2'",
    "\u0663 * * * *": "its minute",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_kubernetes_and_argo_understand_is_taken_as_it_is(text):
    assert check_schedule(text) == text


@pytest.mark.parametrize("text", BAD)
def test_what_they_would_refuse_is_refused_with_the_field_that_is_wrong(text):
    with pytest.raises(ValueError, match=r".") as refused:
        check_schedule(text)
    assert BAD[text] in str(refused.value)


def test_a_time_zone_is_one_of_those_that_this_machine_knows(monkeypatch):
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"UTC", "Europe/Berlin"})
    assert check_timezone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValueError, match="no time zone has this name"):
        check_timezone("Europe/Berln")


def test_a_machine_without_time_zones_leaves_it_to_the_cluster(monkeypatch):
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"UTC"})
    assert check_timezone("Europe/Berln") == "Europe/Berln"
