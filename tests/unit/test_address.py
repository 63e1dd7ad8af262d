import pytest
from pydantic import TypeAdapter, ValidationError

from workflows.address import Address, is_loopback, port

ADDRESS = TypeAdapter(Address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://s3.example", 443),
        ("http://minio:9000", 9000),
        ("http://s3.example/path", 80),
        ("https://[fd00::1]:9000", 9000),
    ],
)
def test_an_address_has_a_port(address, expected):
    assert ADDRESS.validate_python(address) == address
    assert port(address) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("s3.example", "s3.example:9000", "ftp://s3.example", "http://", "http://:9000", "//s3.example"),
        *("http://s3.example:port", "http://s3.example:99999", "http://s3.example:0", "http://[fd00::1"),
        *("http://s3 .example", "http://s3.example\n", "http://s3.example?x=1", "http://s3.example#x", ""),
    ],
)
def test_what_is_no_address_is_told_with_its_form(text):
    with pytest.raises(ValidationError, match="give it as http://HOST:PORT"):
        ADDRESS.validate_python(text)


@pytest.mark.parametrize("login", ["user:canary@", "canary@", ":canary@", "@"])
def test_a_login_has_no_place_in_it(login):
    with pytest.raises(ValidationError, match="would see the login"):
        ADDRESS.validate_python(f"http://{login}s3.example")


@pytest.mark.parametrize(
    "host", ["localhost:8333", "LOCALHOST", "x.localhost", "127.0.0.1", "127.1.2.3", "[::1]:1", "0.0.0.0"]
)
def test_a_host_that_is_another_on_each_machine(host):
    assert is_loopback(f"http://{host}")


@pytest.mark.parametrize("host", ["s3.example", "10.0.0.1:9000", "localhost.example", "[fd00::1]"])
def test_a_host_that_is_the_same_everywhere(host):
    assert not is_loopback(f"http://{host}")
