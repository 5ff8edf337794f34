"""What stops `keepfit up` before it starts anything: each with a message that a person can act on."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepfit.shared.launch.holding import hold
from keepfit.shared.launch.preflight import CannotStart, check_ports, check_server, prepare_data_dir, without_password
from keepfit.shared.settings import Settings
from tests.harness.processes import free_port


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_busy_web_port_names_the_option(busy_port: int) -> None:
    """The message says which port is taken and how to choose another."""
    settings = Settings(port=busy_port, redis_port=free_port())

    with pytest.raises(CannotStart) as caught:
        check_ports(settings)

    assert f"Port {busy_port} on 127.0.0.1 is in use" in str(caught.value)
    assert "--port" in str(caught.value)
    assert "KEEPFIT_PORT" in str(caught.value)


def test_a_busy_server_port_names_the_option(busy_port: int) -> None:
    """The embedded server's port has an option of its own."""
    settings = Settings(port=free_port(), redis_port=busy_port)

    with pytest.raises(CannotStart, match="--redis-port"):
        check_ports(settings)


def test_an_external_server_needs_no_port(busy_port: int) -> None:
    """With KEEPFIT_REDIS_URL the port of the embedded server does not matter."""
    settings = Settings(port=free_port(), redis_port=busy_port, redis_url="redis://127.0.0.1:1/0")

    check_ports(settings)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    """One can only listen on addresses of this machine."""
    settings = Settings(host=host, port=free_port(), redis_port=free_port())

    with pytest.raises(CannotStart, match="is not an address of this machine"):
        check_ports(settings)


def test_a_second_start_on_the_same_directory_names_the_first(data_dir: Path) -> None:
    """The message has the address and the process of the one that runs."""
    prepare_data_dir(data_dir)

    with (
        hold(data_dir, "http://127.0.0.1:8080"),
        pytest.raises(CannotStart) as caught,
        hold(data_dir, "http://127.0.0.1:8081"),
    ):
        pass

    assert "http://127.0.0.1:8080" in str(caught.value)
    assert str(os.getpid()) in str(caught.value)


def test_a_directory_is_free_again_after_use(data_dir: Path) -> None:
    """A lock that was given back can be taken again."""
    prepare_data_dir(data_dir)
    with hold(data_dir, "http://127.0.0.1:8080"):
        pass

    with hold(data_dir, "http://127.0.0.1:8081"):
        assert "8081" in (data_dir / "run" / "lock").read_text()


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file in the place of the directory is a message, not a traceback."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(CannotStart, match="--data-dir"):
        prepare_data_dir(tmp_path / "file" / "data")


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    """The message has the URL, but not the secret in it."""
    url = f"redis://user:secret@127.0.0.1:{free_port()}/0"

    with pytest.raises(CannotStart) as caught:
        check_server(url)

    assert "KEEPFIT_REDIS_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_that_is_none_is_refused() -> None:
    """A typing error in the URL is a message as well."""
    with pytest.raises(CannotStart, match="is not a URL like"):
        check_server("localhost:6379")


def test_a_url_without_password_stays_as_it_is() -> None:
    """Only secrets are hidden."""
    assert without_password("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"
