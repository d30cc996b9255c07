#!/usr/bin/env bash
# Installs peers from PyPI where benchmarks.peers looks for them: install.sh [rotel] [phoenix]
set -euo pipefail
declare -A package=([rotel]=rotel [phoenix]=arize-phoenix)
for name in "${@:-rotel phoenix}"; do
  for peer in $name; do
    folder="${XDG_CACHE_HOME:-$HOME/.cache}/tokentide-peers/$peer"
    if command -v uv >/dev/null; then
      uv venv -q --allow-existing "$folder"
      uv pip install -q --python "$folder/bin/python" "${package[$peer]}"
    else
      python3 -m venv "$folder"
      "$folder/bin/python" -m pip install -q "${package[$peer]}"
    fi
  done
done
