"""Every setting, read once from the environment (``KEEPFIT_*``). Nobody else reads the environment.

Durations are in seconds and end in ``_s``. The reasons for the lease constants are in
docs/decisions/0002-leases.md.
"""

import os
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

IMPORT_DIR = Path(__file__).absolute().parents[2]
"""The folder from which `keepfit` is imported: a checkout, or site-packages."""


class Settings(BaseSettings):
    """The configuration of one Keepfit process."""

    model_config = SettingsConfigDict(env_prefix="KEEPFIT_", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(
        Path("keepfit-data"), description="Where jobs, data sets, logs and the embedded server's file live."
    )
    cache_dir: Path = Field(
        default_factory=lambda given: given["data_dir"] / "cache",
        description="Where workers keep compiled programs; `cache` in the data directory if not given. Whoever can "
        "write there can run code in a worker, so where others write to the data directory it belongs elsewhere.",
    )
    redis_url: str | None = Field(
        None, description="An external Redis or Valkey server; without it an embedded one is started."
    )
    redis_password: SecretStr | None = Field(None, description="Password of the external server, if its URL has none.")
    redis_port: int = Field(6390, ge=1, le=65535, description="Port of the embedded server on 127.0.0.1.")
    host: str = Field("127.0.0.1", description="Address that the web server listens on.")
    port: int = Field(8080, ge=1, le=65535, description="Port that the web server listens on.")
    hosts: str = Field("", description="Further names, with commas, by which browsers may call this instance.")
    bind: str | None = Field(
        None, description="In a container: the host's address that its port is published on; set by docker-compose.yml."
    )
    trusted_proxy: str | None = Field(
        None, description="Address of the proxy before it, whose X-Forwarded-Proto is believed; nobody's otherwise."
    )
    secret_key: SecretStr | None = Field(
        None, description="Signs the form tokens; made and kept in the data directory if not given."
    )
    drills: bool = Field(False, description="Shows the button that kills the worker of a running job.")

    workers: int = Field(1, ge=1, le=64, description="Worker processes that `keepfit up` starts.")
    slots: int = Field(2, ge=1, le=64, description="Jobs that one worker runs at a time.")
    threads: int = Field(
        0, ge=0, le=256, description="Threads of one training job; 0 divides the cores among all slots."
    )

    lease_s: float = Field(3.0, gt=0, description="How long a worker may be silent before its job is taken over.")
    renew_s: float = Field(0.6, gt=0, description="How often a running attempt renews its lease.")
    keeper_tick_s: float = Field(0.25, gt=0, description="How often the keeper looks for lapsed leases.")
    kick_gap_s: float = Field(0.5, gt=0, description="The shortest time between two top-ups of the task queue.")
    stop_grace_s: float = Field(10.0, gt=0, description="How long an attempt may take to obey before it is killed.")
    sweep_s: float = Field(600.0, gt=0, description="Age at which files that a killed writer left are swept away.")
    restart_budget: int = Field(
        5, ge=1, description="Attempts that die of their own fault without a new checkpoint before a job has failed."
    )
    backoff_s: float = Field(
        1.0, ge=0, description="First pause after a second interruption without a new checkpoint; doubles, up to 30 s."
    )

    @property
    def broker_url(self) -> str:
        """The URL of the server in use, external or embedded; the latter's password is in the data directory."""
        if self.redis_url is None:
            return f"redis://{self._embedded_password()}127.0.0.1:{self.redis_port}/0"
        if self.redis_password is None or "@" in self.redis_url:
            return self.redis_url
        return self.redis_url.replace("://", f"://:{quote(self.redis_password.get_secret_value(), safe='')}@", 1)

    @property
    def password_path(self) -> Path:
        """The file with the embedded server's password, which only its owner can read."""
        return self.data_dir / "redis-password"

    def _embedded_password(self) -> str:
        try:
            return f":{self.password_path.read_text().strip()}@"
        except OSError:  # never started here, or not ours to read: the server says so
            return ""

    @property
    def threads_per_slot(self) -> int:
        """Threads that one training job computes with, so that slots do not fight for cores."""
        return self.threads or max(1, (os.cpu_count() or 1) // (self.slots * self.workers))

    @property
    def processes(self) -> int:
        """Processes of one worker: a place more than it has slots, which only jobs of short kinds take."""
        return self.slots + 1

    @property
    def jobs_dir(self) -> Path:
        """The folder of all job directories."""
        return self.data_dir / "jobs"

    @property
    def datasets_dir(self) -> Path:
        """The folder that fetched data sets are kept in."""
        return self.data_dir / "datasets"


def terminal_language() -> str:
    """The language that the terminal asks for, such as "ko"; of the variables for it, the first that is set decides."""
    asked = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := os.environ.get(name))), "")
    return re.split("[_.@-]", asked)[0].lower()


@cache
def get_settings() -> Settings:
    """The settings of this process, read on first use."""
    return Settings()
