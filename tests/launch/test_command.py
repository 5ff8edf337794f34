"""The `keepfit` command against a running service: what it prints, its exit codes, and no tracebacks."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keepfit.shared.checkpoints.manifest import STATE, checkpoints_of
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.store import open_store
from keepfit.web.cli.command import main
from tests.harness.processes import free_port
from tests.harness.services import Service

QUICK = ["--epochs", "1", "--seed", "5"]


def _keepfit(service: Service, *arguments: str) -> Result:
    """Run the command against ``service``. A bug shows as an exception, not as an exit code."""
    return CliRunner().invoke(main, ["--url", service.url, *arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def done(service: Service) -> str:
    """The id of a job that was submitted, and watched to its end, with the command."""
    result = _keepfit(service, "submit", "--name", "from a terminal", *QUICK, "--watch")
    assert result.exit_code == 0, result.output
    return result.output.split()[0]


def test_submit_watches_a_job_to_its_end(service: Service) -> None:
    """`submit --watch` prints the address, each epoch and the final numbers."""
    result = _keepfit(service, "submit", "--name", "watched", *QUICK, "--watch")

    assert result.exit_code == 0
    assert f"{service.url}/jobs/" in result.output
    assert "epoch 1" in result.output
    assert "accuracy 0." in result.output


def test_submit_takes_a_file_and_options(service: Service, tmp_path: Path) -> None:
    """Options override what the file says, and leave the rest of it."""
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({"name": "from a file", "model": {"name": "cnn"}}))
    job_id = _keepfit(service, "submit", str(file), "--epochs", "1").output.split()[0]

    shown = json.loads(_keepfit(service, "show", job_id, "--json").output)

    assert shown["name"] == "from a file"
    assert shown["spec"]["model"]["name"] == "cnn"
    assert shown["spec"]["training"]["epochs"] == 1
    _keepfit(service, "cancel", job_id)


def test_options_leave_the_other_fields_of_a_file(service: Service, tmp_path: Path) -> None:
    """An option changes one field of the file's training, not the whole of it."""
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({"name": "merged", "training": {"batch_size": 64, "epochs": 9}}))
    job_id = _keepfit(service, "submit", str(file), "--epochs", "1").output.split()[0]

    shown = json.loads(_keepfit(service, "show", job_id, "--json").output)

    assert shown["spec"]["training"]["batch_size"] == 64
    assert shown["spec"]["training"]["epochs"] == 1


def test_list_and_show_have_the_result(service: Service, done: str) -> None:
    """A finished job is listed with its state, and shown with its accuracy and page."""
    listed, shown = _keepfit(service, "list"), _keepfit(service, "show", done)

    assert done in listed.output
    assert "succeeded" in listed.output
    assert f"{service.url}/jobs/{done}" in shown.output
    assert "accuracy" in shown.output


def test_evaluate_prints_the_numbers(service: Service, done: str) -> None:
    """`evaluate` says its id at once, waits, and prints accuracy and loss."""
    result = _keepfit(service, "evaluate", done, "--data", "mnist-5k")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith(f"{service.url}/jobs/{result.stdout.split()[0]}")
    assert result.stdout.splitlines()[-1].startswith("accuracy 0.")


@pytest.mark.parametrize("name", ["model.keras", "weights.h5"])
def test_download_writes_the_file(service: Service, done: str, tmp_path: Path, name: str) -> None:
    """The file is there, whole, and nothing else is."""
    target = tmp_path / name

    result = _keepfit(service, "download", done, "--file", name, "--to", str(target))

    assert result.exit_code == 0
    assert target.stat().st_size > 100_000
    assert list(tmp_path.iterdir()) == [target]


def test_wishes_are_confirmed_or_refused(service: Service, done: str) -> None:
    """A wish that makes no sense is refused in words, with exit code 1."""
    result = _keepfit(service, "pause", done)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_job_can_be_put_behind_others(service: Service) -> None:
    """A negative priority is a number, not an option."""
    job_id = _keepfit(service, "submit", "--name", "patient", "--epochs", "1000").output.split()[0]

    result = _keepfit(service, "priority", job_id, "-3")

    assert result.exit_code == 0
    assert result.output == f"{job_id}: priority -3\n"
    _keepfit(service, "cancel", job_id)


@pytest.mark.parametrize("arguments", [["show"], ["watch"], ["cancel"], ["evaluate"], ["download"]])
def test_an_unknown_job_is_a_message(service: Service, arguments: list[str]) -> None:
    """Every command says that there is no such job."""
    result = _keepfit(service, *arguments, "aaaaaaaaaaaa")

    assert result.exit_code == 1
    assert "no job aaaaaaaaaaaa" in result.output


@pytest.mark.parametrize("wrong", ["../x", "..", ".", "x/history", "a?b", "a#b", "%2e%2e", ""])
def test_an_id_is_never_an_address(service: Service, wrong: str) -> None:
    """What is no id is a job that is not there, not another page of the service."""
    result = _keepfit(service, "show", wrong)

    assert result.exit_code == 1
    assert f"There is no job {wrong}." in result.output


def test_a_name_with_brackets_is_listed_as_it_is(service: Service) -> None:
    """Brackets are no markup."""
    job_id = _keepfit(service, "submit", "--name", "try [red]2[/b]", "--epochs", "1").output.split()[0]

    listed, watched = _keepfit(service, "list"), _keepfit(service, "watch", job_id)

    assert "try [red]2[/b]" in listed.output
    assert watched.exit_code == 0


def test_a_name_that_is_no_text_is_a_message(service: Service) -> None:
    """A byte that the terminal's encoding does not know is refused by the field's name."""
    result = _keepfit(service, "submit", "--name", "a\udcff")

    assert result.exit_code == 1
    assert "name: Holds half a character" in result.output


def test_a_wrong_field_is_a_message(service: Service) -> None:
    """The message names the field."""
    result = _keepfit(service, "submit", "--name", "wrong", "--epochs", "0")

    assert result.exit_code == 1
    assert "epochs" in result.output


def test_a_file_that_is_no_json_is_a_message(service: Service, tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "spec.json").write_text("{")

    result = _keepfit(service, "submit", str(tmp_path / "spec.json"))

    assert result.exit_code == 1
    assert "spec.json is not JSON" in result.output


def test_a_service_that_is_not_there_is_a_message() -> None:
    """The message has the address and how to start one."""
    result = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{free_port()}", "list"], catch_exceptions=False)

    assert result.exit_code == 1
    assert "No Keepfit answers at" in result.output
    assert "keepfit up" in result.output


def test_a_wrong_setting_is_a_message() -> None:
    """A setting in the environment that makes no sense is named."""
    result = CliRunner(env={"KEEPFIT_PORT": "many"}).invoke(main, ["list"], catch_exceptions=False)

    assert result.exit_code == 2
    assert "KEEPFIT_PORT" in result.output


def test_verify_finds_a_flipped_bit(service: Service, done: str) -> None:
    """`verify` passes over whole checkpoints, and names one that was changed by a single bit."""
    directory = ["--data-dir", str(service.data_dir)]
    whole = _keepfit(service, "verify", done, *directory)
    state = checkpoints_of(open_jobdir(service.data_dir / "jobs", done))[0].path / STATE
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)

    damaged = _keepfit(service, "verify", done, *directory)

    assert whole.exit_code == 0
    assert "0 damaged" in whole.output
    assert damaged.exit_code == 1
    assert "DAMAGED" in damaged.output
    assert "1 damaged" in damaged.output


def test_verify_checks_every_job(service: Service, done: str) -> None:
    """Without an id, all jobs of the data directory are checked."""
    result = _keepfit(service, "verify", "--data-dir", str(service.data_dir))

    assert done in result.output
    assert " jobs, " in result.output


def test_doctor_finds_and_mends_what_the_server_has_forgotten(service: Service, done: str) -> None:
    """A job that is missing from the server is reported, put back from its directory, and then agrees."""
    options = ["--data-dir", str(service.data_dir), "--redis-port", str(service.redis_port)]
    with closing(open_store(service.redis_url)) as store:
        assert store.upkeep.forget(done)

    sick = _keepfit(service, "doctor", *options)
    mended = _keepfit(service, "doctor", "--repair", *options)
    well = _keepfit(service, "doctor", *options)

    assert sick.exit_code == 1
    assert "the server does not know the job" in sick.output
    assert mended.exit_code == 0
    assert "MENDED" in mended.output
    assert well.exit_code == 0
