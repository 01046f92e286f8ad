#!/bin/sh
# Create .venv from the lock, which holds name==version with hashes. `make` calls this script when
# the lock is newer than the environment. With PILLOW=plain it takes Pillow's wheel in place of
# Pillow-SIMD: it reads more formats, and is slower.
set -eu

venv=.venv
log=$venv/setup.log

say() { printf 'setup: %s\n' "$*" >&2; }

# `block NAME FILE`: one package of a lock, with its hashes.
# `without NAME FILE`: all other packages.
block() { awk -v name="$1==" '/^[a-zA-Z0-9]/ { keep = index($0, name) == 1 } keep' "$2"; }
without() { awk -v name="$1==" '/^[a-zA-Z0-9]/ { keep = index($0, name) != 1 } keep' "$2"; }

find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "no Python 3.11 to 3.14 found; install one (Debian: apt install python3 python3-venv), or give it: make PYTHON=/path/to/python3"
    exit 1
}

python=$(find_python)
if ! "$venv/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
    rm -rf "$venv"
    "$python" -m venv "$venv" || {
        say "$python cannot create environments; install its venv module (Debian: apt install python3-venv)"
        exit 1
    }
fi
say "installing the locked environment into $venv (about 3.3 GB to download, 6.3 GB on disk); details: $log"
rm -f "$venv/.ready"

block uv envs/requirements.lock >"$venv/uv.lock"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r "$venv/uv.lock" >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    exit 1
}
install() { "$venv/bin/uv" pip install --python "$venv/bin/python" --no-deps --compile-bytecode "$@" >>"$log" 2>&1; }

# pillow-simd comes as source code for x86 processors. To build it, a compiler and the headers of
# libjpeg and zlib are needed. Where that fails, Pillow is installed: it provides the same module.
# It is built with what other headers there are now, so not taken from a cache.
block pillow-simd envs/requirements.lock >"$venv/pillow-simd.lock"
"$venv/bin/uv" pip uninstall -q --python "$venv/bin/python" pillow pillow-simd >>"$log" 2>&1
if [ "${PILLOW:-}" = plain ]; then
    reason="PILLOW=plain"
elif [ "$(uname -m)" != x86_64 ]; then
    reason="not an x86 processor"
elif install --no-cache --require-hashes -r "$venv/pillow-simd.lock"; then
    reason=
else
    reason="it could not be compiled: it needs a C compiler, libjpeg and zlib headers, see $log"
fi
if [ -n "$reason" ]; then
    say "taking Pillow in place of Pillow-SIMD ($reason)"
    cp envs/pillow.lock "$venv/pillow.lock"
else
    : >"$venv/pillow.lock"
fi

without pillow-simd envs/requirements.lock >"$venv/others.lock"
for step in "--require-hashes -r $venv/others.lock -r $venv/pillow.lock" "--no-build-isolation -e ."; do
    # shellcheck disable=SC2086
    install $step || {
        say "failed: uv pip install $step"
        tail -n 20 "$log" >&2
        exit 1
    }
done
"$venv/bin/python" -c 'import PIL, torch, snakemake'
lacking=$("$venv/bin/python" -c 'from PIL import features
needs = {"webp": "WebP (libwebp-dev)", "libtiff": "compressed TIFF (libtiff-dev)"}
needs |= {"jpg_2000": "JPEG 2000 (libopenjp2-7-dev)", "avif": "AVIF (libavif-dev, 1.0 or newer)"}
print(*(words for feature, words in needs.items() if not features.check(feature)), sep=", ")')
again="sh envs/setup.sh"
[ -z "$lacking" ] || say "this Pillow cannot read: $lacking. Where you have such images, install the packages in brackets (Debian), then $again; or PILLOW=plain $again"
date >"$venv/.ready"
say "done"
