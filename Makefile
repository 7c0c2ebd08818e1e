# Two commands for a fresh machine: `make demo` and `make test`. The rest is in `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
CARGO ?= cargo
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/backup-controller
export PATH := $(CACHE)/tools/bin:$(HOME)/.cargo/bin:$(PATH)
# Where cargo puts programs that were built with the features of the whole workspace (.cargo/config.toml names the target).
BIN := $(or $(CARGO_TARGET_DIR),target)/$(shell PATH="$(PATH)" rustc -vV | sed -n 's/^host: //p')/debug
# Whether KUBECONFIG names another cluster than ours.
OWN_CLUSTER := [ -n "$${KUBECONFIG:-}" ] && [ "$${KUBECONFIG:-}" != "$$(realpath -m "$${DEV_CLUSTER_DIR:-/var/tmp/backup-controller-dev}")/kubeconfig" ]
WHOLE := $(CARGO) build --quiet --workspace --bins
DEV_BUILT := $(CARGO) build --quiet --workspace --bin dev-cluster
DEV := $(DEV_BUILT) && $(BIN)/dev-cluster

.PHONY: help
help: ## What there is to make
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ## A real backup on a real cluster, from nothing, compared byte by byte (with KUBECONFIG: on that cluster)
	@if $(OWN_CLUSTER); then $(PARTS) .programs ansible-tools; else $(ROOT) && $(PARTS) .images ansible-tools; fi
	@$(BIN)/demo

# Two suites run at a time; a table at the end says how long each took. Its parts have names: make test SUITES='jobs cli'.
SUITES ?= all
# First on the search path are the tools that are only for tests.
RUN := PATH="$(CACHE)/tools/test-bin:$(PATH)" $(CARGO) run --quiet --package test-runner --

.PHONY: test
test: ## Everything: units and laws, suites on a real control plane, end to end on two nodes
	@CARGO_INCREMENTAL=0 $(RUN) $(SUITES)

.PHONY: test-fast
test-fast: ## Everything but the two nodes
	@$(RUN) fast

.PHONY: check
check: ## Format, imports, lints, dependencies, unit tests: no cluster
	@$(RUN) format imports dependencies lints examples model templates controller cli documents tests jobs

# What is worth running before a release, and too long for each change.
.PHONY: test-long
test-long: ## The demo from nothing: as on a fresh machine, with caches of its own (10 GB, and the running cluster ends)
	@$(DEV) down
	@cold=$$(mktemp -d) && trap 'rm -rf "$$cold"' EXIT && git clone --quiet . "$$cold/project" && cd "$$cold/project" \
	  && unset KUBECONFIG && export XDG_CACHE_HOME="$$cold/cache" GOCACHE="$$cold/go" GOMODCACHE="$$cold/modules" GOFLAGS=-modcacherw CARGO_HOME="$$cold/cargo" \
	  && { time $(MAKE) --no-print-directory demo; } && $(MAKE) --no-print-directory down

.PHONY: fmt
fmt:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy:
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

.PHONY: deny
deny: $(CACHE)/tools/bin/cargo-deny
	@# Also the crates of other systems, which no build here needs.
	@$(CARGO) fetch --quiet --locked
	cargo-deny --offline --log-level error check bans licenses sources

.PHONY: advisories
advisories: $(CACHE)/tools/bin/cargo-deny ## The dependencies against the advisory database (needs the network)
	cargo-deny check advisories

$(CACHE)/tools/bin/cargo-deny:
	@echo "==> cargo-deny is built, once (about four minutes)"
	$(CARGO) install --quiet --locked --root $(CACHE)/tools cargo-deny --version 0.20.2

# The tests of copies run the real rsync and restic, an S3 server and an SFTP server.
MOVER_TOOLS := rsync acl attr openssl openssh-client openssh-server
.PHONY: mover-tools
mover-tools:
	@$(DEV) tools >/dev/null
	@for tool in rsync setfacl setfattr openssl ssh-keygen /usr/sbin/sshd; do command -v $$tool >/dev/null && continue; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "==> $(MOVER_TOOLS) are installed"; \
	    { apt-get install -qq -y $(MOVER_TOOLS) || { apt-get update -qq && apt-get install -qq -y $(MOVER_TOOLS); }; } >/dev/null; \
	  else echo "$$tool is missing: install the packages $(MOVER_TOOLS)" >&2; exit 1; fi; \
	done

# The demo and the end-to-end suite install with the playbooks.
.PHONY: ansible-tools
ansible-tools:
	@python=$$(head -n 1 "$$(command -v ansible-playbook)" 2>/dev/null) && $${python#??} -c 'import kubernetes' 2>/dev/null \
	  && ansible-doc -t module kubernetes.core.k8s >/dev/null 2>&1 && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "==> ansible is installed"; \
	  { apt-get install -qq -y ansible python3-kubernetes \
	    || { apt-get update -qq && apt-get install -qq -y ansible python3-kubernetes; }; } >/dev/null; \
	else echo "ansible-playbook is missing: install the packages ansible and python3-kubernetes" >&2; exit 1; fi

.PHONY: control-plane-parts
control-plane-parts:
	@$(DEV) build --control-plane

.PHONY: control-plane
control-plane: ## Suites against a real control plane without nodes (no root)
	@$(RUN) plane-cluster plane-controller plane-guard plane-snapshot-job plane-install plane-faults

# Where KUBECONFIG names a cluster, its owner has brought the images there; what runs on this machine is built.
.PHONY: nodes
nodes: ansible-tools
	@if $(OWN_CLUSTER); then $(DEV) binaries; else $(MAKE) --no-print-directory image; fi

.PHONY: e2e
e2e: ## End to end on the two nodes, or on the cluster that KUBECONFIG names
	@$(RUN) nodes-storage nodes-e2e nodes-pages

# What the nodes and the images are made of is built side by side: Go, Rust and the Debian below the images.
ROOT := { [ "$$(id -u)" = 0 ] || { echo "the two nodes need root on Linux; to use a cluster of yours, set KUBECONFIG" >&2; exit 1; }; }
PARTS := $(DEV_BUILT) && $(MAKE) --no-print-directory --jobs=4
.PHONY: cluster
cluster: ## Start the two-node cluster (root)
	@$(ROOT) && $(PARTS) .up

.PHONY: down
down: ## End the cluster and leave nothing behind (with KUBECONFIG: remove the demo from that cluster)
	@if $(OWN_CLUSTER); then \
	  echo "==> the demo is removed from the cluster of KUBECONFIG; without KUBECONFIG, make down ends the dev cluster"; \
	  $(WHOLE) && $(BIN)/demo --remove; \
	else $(DEV) down; fi

.PHONY: image
image: ## Start the cluster, build both images for tests and the demo, and import them on the nodes
	@$(ROOT) && $(PARTS) .images

.PHONY: .go .s3 .base .programs .up .image-files .images
.go:
	@$(BIN)/dev-cluster build --nodes
.s3:
	@$(BIN)/dev-cluster build --s3
.base: ansible-tools
	@$(BIN)/dev-cluster base
.programs:
	@$(BIN)/dev-cluster binaries
.up: .go .s3 .base
	@$(BIN)/dev-cluster up
.image-files: .base .programs
	@$(BIN)/dev-cluster images
.images: .up .image-files
	@$(BIN)/dev-cluster load-images

.PHONY: binaries
binaries: ## What is shipped, into target/image: small static binaries and the pinned restic (slow to build)
	@$(DEV) binaries --profile dist --into target/image

.PHONY: chart
chart: ## Make the Helm chart again from templates/install
	@$(WHOLE) && $(BIN)/chart

.PHONY: bench-job
bench-job: ## Sizes, times, memory and requests of one run
	@echo "==> what is shipped is built (profile dist: minutes, when something changed)"
	@$(DEV) binaries --profile dist --into target/image
	@$(WHOLE) && BACKUP_BINARIES=$(CURDIR)/target/image $(BIN)/bench-job

.PHONY: bench-plan
bench-plan: ## Instructions of 1,000 plans with nothing left to do (valgrind; a thousandth of them is one plan's)
	@$(CARGO) build --quiet --release --package model --example bench_plan
	@valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*plan_all*' \
		$(BIN:debug=release)/examples/bench_plan 1000 1

.PHONY: bench-guard
bench-guard: ## CPU time of the API server for large writes, with the guard and without
	@$(WHOLE) && $(BIN)/bench-guard

.PHONY: bench-scale
bench-scale: ## What N volumes with a month of backups cost (N=1000; less: BENCH='--steady 60 --new 20')
	@echo "==> what is shipped is built (profile dist: minutes, when something changed)"
	@$(DEV) binaries --profile dist --into target/image
	@$(WHOLE) && BACKUP_BINARIES=$(CURDIR)/target/image $(BIN)/bench-scale --claims $(or $(N),1000) --json target/bench-scale-$(or $(N),1000).json $(BENCH)

.PHONY: bench-restore
bench-restore: image ## Times of a restore on the two nodes, beside bare rsync
	@$(BIN)/bench-restore

.PHONY: bench-restic
bench-restic: mover-tools ## A copy to restic beside bare restic (root, 9 GiB; less: BENCH='--large-mib 512')
	@echo "==> what is shipped is built (profile dist: minutes, when something changed)"
	@$(DEV) binaries --profile dist --into target/image
	@$(WHOLE) && BACKUP_BINARIES=$(CURDIR)/target/image $(BIN)/bench-restic $(BENCH)
