import socket

import pytest

from steps.clients.local.addresses import CHOICE, HOST, endpoint_port, server_port
from steps.errors import Corrupt


@pytest.fixture
def listener():
    """Opens ports and closes them again."""
    opened = []

    def listen(port: int) -> None:
        opened.append(server := socket.socket())
        server.bind((HOST, port))
        server.listen()

    yield listen
    for server in opened:
        server.close()


def test_the_endpoints_port_is_chosen_once(tmp_path):
    first = endpoint_port(tmp_path / "chat")
    assert first in CHOICE
    assert endpoint_port(tmp_path / "chat") == first


def test_the_endpoint_keeps_its_port_whoever_listens_there(tmp_path, listener):
    first = endpoint_port(tmp_path)
    listener(first)
    assert endpoint_port(tmp_path) == first


def test_servers_take_the_first_kept_port_that_is_free(tmp_path, listener):
    one = server_port(tmp_path, busy=())
    two = server_port(tmp_path, busy=(one,))
    assert one != two
    assert server_port(tmp_path, busy=()) == one
    assert server_port(tmp_path, busy=(one,)) == two
    listener(one)
    assert server_port(tmp_path, busy=()) == two


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"port": "80", "ports": 1}'])
def test_a_damaged_file_is_named_with_its_remedy(tmp_path, text):
    for name, look in (("endpoint.json", endpoint_port), ("servers.json", lambda d: server_port(d, ()))):
        (tmp_path / name).write_text(text)
        with pytest.raises(Corrupt, match=rf"{name} .*remove it, and a new port is chosen"):
            look(tmp_path)
