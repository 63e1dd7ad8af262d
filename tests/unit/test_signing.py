"""Our signatures are boto3's, byte for byte."""

import datetime as dt

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from steps.clients import signing
from steps.clients.signing import Place

BASES = (
    "http://127.0.0.1:8333/models/",
    "http://[::1]:8333/models/",
    "https://models.s3.eu-central-1.amazonaws.com/",
    "https://models.s3.eu-central-1.amazonaws.com:443/",
    "http://Store.Example:80/some/way/models/",
    "https://store.example:80/models/",
)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(
    base=st.sampled_from(BASES),
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    who=st.builds(ReadOnlyCredentials, WORDS, WORDS, st.none() | WORDS),
    seconds=st.integers(0, 2**32),
)
def test_a_signature_is_that_of_boto3(base, key, region, who, seconds):
    ours = signing.get(Place.at(base, region), key, "bytes=3-9", who, seconds)
    theirs = AWSRequest(method="GET", url=ours.url, headers={"Range": "bytes=3-9"})
    with pytest.MonkeyPatch.context() as patch:
        now = dt.datetime.fromtimestamp(seconds, dt.UTC)
        patch.setattr(auth, "get_current_datetime", lambda: now)
        auth.S3SigV4Auth(who, "s3", region).add_auth(theirs)
    wanted = {name.lower(): value for name, value in theirs.prepare().headers.items()}
    assert {name.lower(): value for name, value in ours.headers.items()} == wanted


def test_a_key_follows_its_address():
    place = Place.at("http://127.0.0.1:8333/models/", "us-east-1")
    request = signing.get(place, "a ß/+%~", "bytes=0-1", ReadOnlyCredentials("id", "secret", None))
    assert request.url == "http://127.0.0.1:8333/models/a%20%C3%9F/%2B%25~"
