# The project's commands; `make` alone lists them. `demo`, `test`, `bench` and `fuzz` install what they need first.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-systemd bench bench-calc bench-fuel bench-history bench-ids bench-jail soak soak-jail soak-overload fuzz fmt clean \
	format dependencies lint docs rust-tests elsewhere-tests client-tests

# rustup's programs, also in a shell that was open before they were installed.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)
FUZZ_SECONDS ?= 60
SOAK_COMMANDS ?= 100000
OVERLOAD_SECONDS ?= 60
HISTORY_MIB ?= 1024
FUZZ_TARGETS := request reply expression differential columns message record

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## Build bidden and see both kinds of work done, through real sockets
	@setup/prepare demo
	cargo run --locked --bin bidden -- demo

test: ## Check everything: format, licences, lints, docs, all tests, old clients
	@setup/prepare test
	@$(MAKE) --no-print-directory format dependencies lint docs rust-tests elsewhere-tests client-tests
	@echo "make test: everything passed"

test-systemd: ## Have a real systemd run examples/bidden.service in a container; as root
	@setup/prepare systemd
	cargo build --profile test --locked --bin bidden
	tests/systemd $(TARGET)/debug/bidden $(TARGET)/debian-systemd.tar

bench: ## Measure bidden beside the old design; writes bench/results.md
	@setup/prepare bench
	cargo build --release --locked --bin bidden --bin bench
	$(TARGET)/release/bench

bench-calc: ## Measure calc beside other evaluators, CPython and NumPy; writes bench/calc/results.md
	@setup/prepare bench
	.venv/bin/python -m pip --quiet --disable-pip-version-check install --requirement bench/calc/requirements.txt
	cargo run --release --locked --package bench-calc

bench-fuel: ## Measure what a unit of fuel pays for in each operation of calc; fails where it is too much
	@setup/prepare bench
	cargo run --release --locked --package calc --example fuel

bench-history: ## Measure `bidden history` on a log of HISTORY_MIB (1,024) beside cat and grep
	@setup/prepare bench
	cargo build --release --locked --bin bidden --bin bench
	$(TARGET)/release/bench history $(HISTORY_MIB)

bench-ids: ## Measure what it takes to remember the ids of a thousand commands a second for an hour
	@setup/prepare bench
	cargo build --release --locked --bin bench
	$(TARGET)/release/bench ids

bench-jail: ## Measure what the parts of a jailed command cost
	@setup/prepare bench
	cargo build --release --locked --bin bidden --bin bench
	$(TARGET)/release/bench parts

soak: ## Kill a server BIDDEN_KILLS (500) times under load, BIDDEN_SECONDS (600) at most, and see that nothing is lost
	BIDDEN_KILLS=$${BIDDEN_KILLS:-500} BIDDEN_SECONDS=$${BIDDEN_SECONDS:-600} \
		cargo test --locked --package bidden --test end_to_end -- crashes --nocapture

soak-overload: ## Ask for ten times too much for OVERLOAD_SECONDS (60) and see that others are served
	@setup/prepare bench
	cargo build --release --locked --bin bidden --bin bench
	$(TARGET)/release/bench overload $(OVERLOAD_SECONDS)

soak-jail: ## Run SOAK_COMMANDS (100,000) commands and see that nothing grows
	@setup/prepare bench
	cargo build --release --locked --bin bidden --bin bench
	$(TARGET)/release/bench soak $(SOAK_COMMANDS)

fuzz: ## Fuzz each parser for FUZZ_SECONDS (60)
	@setup/prepare fuzz
	@for target in $(FUZZ_TARGETS); do \
		echo "fuzzing: $$target, $(FUZZ_SECONDS) s"; \
		mkdir -p fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-dict=fuzz/$$target.dict -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=1024; \
	done

fmt: ## Format the Rust code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

clean: ## Remove what was built, the .venv too
	cargo clean
	rm -rf .venv fuzz/target fuzz/corpus

# The steps of `make test`, cheap ones first.

format:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

dependencies:
	.venv/bin/python tests/dependencies.py

lint:
	cargo clippy --workspace --all-targets --locked -- --deny warnings

docs:
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

rust-tests:
	cargo test --manifest-path fuzz/Cargo.toml --no-default-features --locked
	cargo test --workspace --locked

# All of it built already. The whole workspace, because fewer packages would be built with other features.
elsewhere-tests:
	cargo test --workspace --locked --lib --test end_to_end --config "target.'cfg(all())'.runner=['$(CURDIR)/tests/elsewhere', 'ordinary-user']"
	cargo test --workspace --locked --lib --config "target.'cfg(all())'.runner=['$(CURDIR)/tests/elsewhere', 'after-boot']"

client-tests:
	cargo build --profile test --locked --bin bidden
	BIDDEN_BIN=$(TARGET)/debug/bidden .venv/bin/python -m unittest --verbose tests/old_clients.py tests/routed_clients.py tests/streaming_clients.py tests/curve_clients.py
