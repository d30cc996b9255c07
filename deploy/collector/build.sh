#!/usr/bin/env bash
# Builds the Collector of builder-config.yaml with Go (1.21 or newer: it fetches the version that the modules name).
#
#   deploy/collector/build.sh [FILE]
#
# FILE is where the binary goes; without it, where the tests look. A binary that is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")"

version="$(sed -n 's/^  version: //p' builder-config.yaml)"
recipe="$(sha256sum builder-config.yaml | cut -c 1-8)"
binary="${1:-${TEST_OTELCOL:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentide-tests/otelcol-$version-$recipe}}"
if [ -x "$binary" ]; then
  echo "$binary"
  exit
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
sed "s|^  output_path: .*|  output_path: $work/otelcol|" builder-config.yaml >"$work/builder-config.yaml"
export GOFLAGS="${GOFLAGS:-} -buildvcs=false" CGO_ENABLED=0
go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$work/builder-config.yaml" >&2
mkdir -p "$(dirname "$binary")"
# Beside its place first: a second build, or a test that looks now, never sees half a binary.
cp "$work/otelcol/otelcol" "$binary.$$"
mv "$binary.$$" "$binary"
echo "$binary"
