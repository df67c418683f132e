# SPDX-License-Identifier: Apache-2.0
# What a person does here; each target brings what it needs. `make` alone lists them.

NODES ?= 1
ACCEL ?= tcg
MEMORY ?= 2048
# The programs of a node that are built: all.
PROGRAMS ?= -p init -p kubermesh -p kubermesh-beacon
# Of how many system calls of a kind `make inject` has one fail; 1: all, a quarter of an hour.
EVERY ?= 20
# Those that `make sim` tries.
SEEDS ?= 0..400
# How long `make fuzz` stays with each target.
TIME ?= 10min
# How often `make bench-init` goes through all inits.
ROUNDS ?= 3

TARGET := x86_64-unknown-linux-musl
BUILD := $(or $(CARGO_TARGET_DIR),target)
BIN := $(BUILD)/$(TARGET)/release
CARGO_HOME ?= $(HOME)/.cargo
# What apt unpacks into /usr/sbin is not on everybody's path.
export PATH := $(PATH):/usr/sbin:/sbin
# The one time in the image: that of the last commit, so that two people build the same bytes.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1767225600)

# Registry paths would reach the programs through panic messages; sources of ours are named relatively.
# RELR: a position-independent PID 1 names its relocations in 0.5 KB instead of 37; musl knows it since 1.2.4.
# Rust's own lld: the layout of init/program.ld.
NODE_CARGO = COMPILER_PATH="$$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld" RUSTFLAGS="--remap-path-prefix=$(CARGO_HOME)=/cargo -C link-arg=-fuse-ld=lld \
	-C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,init/program.ld" \
	cargo build --release --locked --target $(TARGET)
IMAGE = cargo run --quiet --release --locked -p kubermesh-image --

help: ## list what can be made
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | column -t -s@ 2>/dev/null || \
		sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1   \2/p' $(MAKEFILE_LIST)

run: usb ## boot it here in QEMU: console and light of each node. NODES=2 ACCEL=kvm MEMORY=2048
	@qemu/setup
	@cargo run --quiet --release --locked -p kubermesh-qemu --bin kubermesh-desk -- \
		run --usb out/kubermesh-usb.img --nodes $(NODES) --accel $(ACCEL) --memory-mib $(MEMORY) --stick-mib 4096

test: ## every test, QEMU scenarios included
	@tests/run

image: programs ## out/kubermesh.efi: the whole system in one file
	@mkdir -p out
	@$(IMAGE) uki --bin-dir $(BIN)

usb: image ## out/kubermesh-usb.img: the USB stick (docs/usb.md says how to write it)
	@$(IMAGE) usb

fuzz: setup ## give foreign bytes to every decoder, each in turn. TIME=10min
	@qemu/setup --tests
	@tests/fuzz/run $(TIME)

sim: setup ## PID 1 in a simulated kernel: SEEDS=7 tells one seed again, SEEDS=0..2000 tries so many
	@SEEDS=$(SEEDS) $(if $(STEPS),STEPS=$(STEPS)) cargo test --locked --profile proof -p kubermesh-sim -- --nocapture

mutants: setup ## put each bug of docs/bugs.md back, break what docs/mutants.md says, and see each test fail: half an hour and more
	@qemu/setup --tests
	@tests/mutants/run

inject: setup test-programs ## have each EVERYth system call of PID 1 fail or tarry: in a life, a recovery, an upgrade. EVERY=20
	@qemu/setup --tests
	@EVERY=$(EVERY) cargo test --locked -p kubermesh-tests --test inject -- --nocapture

bench: image test-image ## measure two nodes on a cable: memory, wakeups, times, sizes, into docs/figures.md
	@cargo test --locked -p kubermesh-tests --test bench -- --nocapture

same-bytes: ## build image and stick from two clean clones, nothing shared, and compare: an hour and more
	@tests/same-bytes

cuts: test-image ## a first boot cut at each flush of its stick, one boot a cut: hours. FROM=0 STEP=1 LANES=1
	@cargo test --locked -p kubermesh-tests --test cuts -- --nocapture

bench-init: test-programs ## measure PID 1 beside s6, runit, systemd and others, into docs/figures-init.md: half an hour. ROUNDS=3
	@qemu/setup --tests
	@cargo build --quiet --locked -p kubermesh-tests --bins
	@chrt --rr 1 $(BUILD)/debug/bench-init --rounds $(ROUNDS)

house: setup ## quick checks of the code itself: format, lints, unit tests, walls and sizes, licences, docs
	@qemu/setup --tests
	@tests/run house

clean: ## remove what was built here; the cache outside stays
	rm -rf out $(BUILD)

setup:
	@image/setup && init/setup

programs: setup
	@$(NODE_CARGO) $(PROGRAMS)

# What the stages of the tests run: PID 1 as it ships, and an actor for its services.
test-programs: programs
	@$(NODE_CARGO) -p kubermesh-actor -p kubermesh-runner

# The image of the tests is the image and, beside it, an agent that runs a test's commands on the node.
test-image: programs
	@qemu/setup --tests
	@$(NODE_CARGO) -p kubermesh-qemu --bin kubermesh-agent
	@rm -rf out/test/parts && mkdir -p out/test/parts/usr/bin
	@cp $(BIN)/kubermesh-agent "$$(command -v busybox)" out/test/parts/usr/bin/
	@$(IMAGE) uki --bin-dir $(BIN) --overlay overlay --overlay tests/overlay --overlay out/test/parts --out out/test/kubermesh.efi
	@$(IMAGE) usb --uki out/test/kubermesh.efi --out out/test/kubermesh-usb.img --seed "the tests"

.PHONY: help run test image usb fuzz sim mutants inject bench bench-init cuts same-bytes house clean setup programs test-programs test-image
# Two of these at once would only wait for each other: cargo and the cores are shared.
.NOTPARALLEL:
