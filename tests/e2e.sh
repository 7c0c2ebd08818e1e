#!/usr/bin/env bash
# The end-to-end suite: on the dev cluster as root, or on the cluster that KUBECONFIG names.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${KUBECONFIG:-}" ]; then
  if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
    echo "skipped: the end-to-end suite starts nodes, which needs root on Linux; or let KUBECONFIG name a cluster"
    exit 0
  fi
  make --no-print-directory cluster image
fi
make --no-print-directory ansible-tools
exec cargo test --package backup-controller-tests --test e2e -- --ignored --test-threads=1 --nocapture
