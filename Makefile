# Two commands for a fresh machine: `make demo` and `make test`. The rest is in `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
CARGO ?= cargo
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/backup-controller
export PATH := $(CACHE)/tools/bin:$(HOME)/.cargo/bin:$(PATH)
DEV := $(CARGO) run --quiet --package dev-cluster --
# Static binaries: the images have nothing else.
PROFILE ?= release

.PHONY: help
help: ## What there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ansible-tools cluster image ## A real backup on a real cluster, from nothing, compared byte by byte
	@$(CARGO) run --quiet --package backup-controller-tests --bin demo

.PHONY: test
test: check control-plane e2e ## Everything: units and laws, suites on a real control plane, end to end on two nodes

.PHONY: check
check: fmt clippy deny unit ## Format, lints, dependencies, unit tests: no cluster

.PHONY: fmt
fmt:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy:
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

.PHONY: deny
deny: $(CACHE)/tools/bin/cargo-deny
	cargo-deny --offline --log-level error check bans licenses sources

.PHONY: advisories
advisories: $(CACHE)/tools/bin/cargo-deny ## The dependencies against the advisory database (needs the network)
	cargo-deny check advisories

$(CACHE)/tools/bin/cargo-deny:
	@echo "==> cargo-deny is built, once (about four minutes)"
	$(CARGO) install --quiet --locked --root $(CACHE)/tools cargo-deny --version 0.20.2

.PHONY: unit
unit: mover-tools ## Unit and property tests
	$(CARGO) test --quiet --workspace --exclude backup-controller-tests --exclude dev-cluster

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

.PHONY: control-plane
control-plane: ansible-tools ## Suites against a real control plane without nodes (no root)
	$(DEV) build --control-plane
	$(CARGO) build --quiet
	$(CARGO) test --quiet --package dev-cluster --package backup-controller-tests

.PHONY: e2e
e2e: ## End to end on the two nodes
	@./tests/e2e.sh

.PHONY: cluster
cluster: ## Start the two-node cluster (root)
	@$(CARGO) build --quiet --package dev-cluster
	@$(DEV) up

.PHONY: down
down: ## End the cluster and leave nothing behind
	@$(DEV) down

.PHONY: image
image: binaries ## Build both images and import them on the nodes
	@$(DEV) load-images

.PHONY: binaries
binaries: ## The static binaries of the images with the pinned restic, into target/image
	@$(DEV) binaries --profile $(PROFILE)

.PHONY: chart
chart: ## Make the Helm chart again from templates/install
	@$(CARGO) run --quiet --package backup-controller-tests --bin chart

.PHONY: bench-job
bench-job: ## Sizes, times, memory and requests of one run
	@echo "==> what is shipped is built (profile dist: minutes, when something changed)"
	@$(DEV) binaries --profile dist --into target/dist-image
	@BACKUP_BINARIES=$(CURDIR)/target/dist-image $(CARGO) run --quiet --package backup-controller-tests --bin bench-job

.PHONY: bench-restore
bench-restore: cluster image ## Times of a restore on the two nodes, beside bare rsync
	@$(CARGO) run --quiet --package backup-controller-tests --bin bench-restore

.PHONY: bench-restic
bench-restic: mover-tools ## A copy to restic beside bare restic (root, 9 GiB; less: BENCH='--large-mib 512')
	@echo "==> what is shipped is built (profile dist: minutes, when something changed)"
	@$(DEV) binaries --profile dist --into target/dist-image
	@BACKUP_BINARIES=$(CURDIR)/target/dist-image $(CARGO) run --quiet --package backup-controller-tests --bin bench-restic -- $(BENCH)
