# Keepfit's front door. `make` alone explains the targets.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run demo quick test coverage proof lint chaos bench clean lock wheel check-wheel check-images words env-run env-dev

# Options a person may give:  make run ARGS="--port 8081"   make test PYTEST="tests/store -x"   make proof PARTS="lint"
ARGS ?=
PYTEST ?=
PARTS ?=
CHAOS_SECONDS ?= 1200
CHAOS_FAULTS ?= 500
CHAOS_SEED ?= 1
export CHAOS_SECONDS CHAOS_FAULTS CHAOS_SEED

help: ## Explains what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

run: env-run ## Starts everything and prints its address; Ctrl-C stops it (ARGS="--port 8081" and so on)
	@KEEPFIT_DRILLS=$${KEEPFIT_DRILLS:-1} .venv/bin/keepfit up $(ARGS)

demo: env-run ## Trains, kills the worker, shows the recovery and proves it exact, in under 90 s
	@.venv/bin/keepfit demo $(ARGS)

# Three tiers. Which tests are in which is said in tests/harness/tiers.py.
quick: env-dev ## Runs the tests that need no TensorFlow, browser or worker: half a minute (PYTEST="tests/web" for some)
	.venv/bin/pytest --quick -q -n 4 --dist worksteal $(PYTEST)

# As many at a time as there are cores, up to four; the tests of one file stay together, since they share what they start.
test: env-dev ## Runs all tests with real parts, a real browser too (PYTEST="tests/store -x" for some, -n 0 one by one)
	@requirements/chromium.sh
	.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST)

# Of what decides over jobs; which files that are is said in pyproject.toml. Without measuring, tests are a third faster.
COVERING := tests/unit tests/store $(addprefix tests/training/test_,saving.py due.py writing.py damage.py)
coverage: env-dev ## Checks that the tests take each branch of states, documents' truth, store and checkpoints
	@rm -rf tests/output/coverage && mkdir -p tests/output/coverage
	.venv/bin/coverage run -m pytest -q -n auto --maxprocesses 4 --dist loadfile $(COVERING)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report --fail-under 100

proof: env-dev ## Runs everything, for hours, and writes docs/proof.md (PARTS="lint chaos-1" for some of it)
	@requirements/chromium.sh
	.venv/bin/python -m tests.proof $(PARTS)

lint: env-dev ## Checks style, types, layers and sizes
	.venv/bin/ruff check .
	.venv/bin/ruff format --check --quiet .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest -q tests/test_architecture.py

chaos: env-dev ## Makes CHAOS_FAULTS (500) faults, CHAOS_SECONDS (1200) long, from CHAOS_SEED (1); nothing may be lost
	.venv/bin/pytest -m chaos -s --timeout $$(($(CHAOS_SECONDS) + 900)) $(PYTEST)

bench: env-dev .venv-bench/ready .venv-peers/ready ## Measures against plain Keras and peers, and draws the plots
	@for script in $$(grep -l '^if __name__' bench/*.py); do \
	    case "$$script" in bench/plots.py|bench/report.py|bench/before_after.py|bench/many_jobs.py|bench/setup_size.py) continue ;; esac; \
	    echo "== $$script"; PYTHONPATH=. .venv/bin/python "$$script" || exit 1; \
	done
	.venv-bench/bin/python bench/plots.py
	.venv/bin/python bench/report.py

.venv-bench/ready: requirements/bench-plots.lock | env-dev
	.venv/bin/python -m venv --clear .venv-bench
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

.venv-peers/ready: requirements/bench.lock .venv-bench/ready
	rm -rf .venv-peers
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: \
	    --target .venv-peers -r $<
	@touch $@

wheel: env-dev ## Builds the wheel into dist/: all that another machine needs
	@requirements/wheel.sh dist

check-wheel: env-dev ## Installs the wheel into an empty environment, and uses it from an empty folder
	@requirements/check_wheel.sh

check-images: env-dev ## Does what the Dockerfile does to install, in empty environments, and checks the compose file
	@requirements/check_images.sh

words: env-dev ## Puts new messages of the code into the catalogues of translations, and says which have none
	.venv/bin/python -m tests.harness.messages

lock: ## Writes the lock files anew (needs uv)
	@requirements/lock.sh

clean: ## Removes the environments, caches and test output; never the data directory
	rm -rf .venv .venv-bench .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info \
	    tests/output bench/output dist
	find shared web worker tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

env-run:
	@requirements/environment.sh run

env-dev:
	@requirements/environment.sh dev
