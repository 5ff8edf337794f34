"""Lets pytest show what differs where the model check's own modules assert."""

import pytest

pytest.register_assert_rewrite("tests.store.machine", "tests.store.observe")
