#!/bin/sh
# Updates .venv to a lock in envs/: `sh tools/venv.sh cpu` (or gpu, cluster, dev), from the root of the
# checkout. `bench` has a folder of its own, .venv-bench. Does nothing if the folder is up to date. The
# interpreter is $PYTHON, otherwise the newest suitable one.
set -eu

wanted=$1
venv=.venv
[ "$wanted" != bench ] || venv=.venv-bench
state=$venv/.in-step # copies of the installed locks; `git switch` does not keep times of files

say() { printf '%s\n' "$*" >&2; }

# Prints the base interpreter, also for shims and virtual environments. Shims can exist for missing
# versions, so the interpreter has to be run.
suitable() {
    "$1" - 2>/dev/null <<'PROBE'
import sys
if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(1)
print(getattr(sys, "_base_executable", None) or sys.executable)
PROBE
}

find_python() {
    incomplete=
    for name in ${PYTHON:+"$PYTHON"} ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if found=$(suitable "$name"); then
            if "$found" -c 'import ensurepip, venv' 2>/dev/null; then
                printf '%s\n' "$found"
                return
            fi
            incomplete=$found
        fi
    done
    if [ -n "$incomplete" ]; then
        say "error: $incomplete cannot make virtual environments: its ensurepip is missing." \
            "On Debian and Ubuntu the package is python3-venv."
    elif [ -n "${PYTHON:-}" ]; then
        say "error: '$PYTHON' does not run, or is not CPython 3.11, 3.12 or 3.13."
    else
        say "error: no CPython 3.11, 3.12 or 3.13 found. Install one, or name one:" \
            "make PYTHON=/path/to/python3.12"
    fi
    return 1
}

# Whether .venv is complete, made in this folder, and of the requested Python.
usable() {
    [ ! -e "$state/unfinished" ] || return 1
    [ ! -e "$state/place" ] || [ "$(cat "$state/place")" = "$(pwd -P)" ] || return 1
    suitable $venv/bin/python >/dev/null || return 1
    $venv/bin/python -c 'import pip' 2>/dev/null || return 1
    if [ -n "${PYTHON:-}" ]; then
        version='import sys; print(sys.version_info[:2])'
        [ "$("$PYTHON" -c "$version" 2>/dev/null)" = "$($venv/bin/python -c "$version")" ]
    fi
}

installed() { cmp -s "envs/$1.lock" "$state/$1.lock"; }

# dev.lock, gpu.lock and cluster.lock hold every pin of cpu.lock, and cluster.lock those of gpu.lock.
case $wanted in
cpu) in_step() { installed cpu || installed gpu || installed cluster || installed dev; } ;;
gpu) in_step() { installed gpu || installed cluster; } ;;
cluster | dev | bench) in_step() { installed "$wanted"; } ;;
*) say "usage: sh tools/venv.sh cpu|gpu|cluster|dev|bench" && exit 2 ;;
esac

pip() {
    # PIP_USER from a configuration fails in a virtual environment
    PIP_USER=0 $venv/bin/python -m pip --disable-pip-version-check --quiet "$@"
}

pins() { awk -v names="^($1)==" '$0 ~ names {on = 1} on {print} !/\\$/ {on = 0}' "envs/$wanted.lock"; }

if usable; then
    in_step && cmp -s pyproject.toml "$state/pyproject.toml" && exit 0
else
    python=$(find_python)
    say "Making $venv with $("$python" -V) ($python)."
    "$python" -m venv --clear $venv
fi

mkdir -p "$state"
touch "$state/unfinished" # an interrupted installation is repeated
pwd -P >"$state/place"

if ! in_step; then
    say "Installing the packages of envs/$wanted.lock: some minutes the first time."
    # forget locks that have changed; unchanged ones agree with the new one
    for set in cpu gpu cluster dev bench; do
        installed "$set" || rm -f "$state/$set.lock"
    done
    # install build tools first, so that source packages are built with the locked versions
    pins 'setuptools|wheel|packaging' >"$state/build-tools.lock"
    pip install --require-hashes --no-deps -r "$state/build-tools.lock"
    pip install --require-hashes --no-build-isolation -r "envs/$wanted.lock"
    cp "envs/$wanted.lock" "$state/"
fi
pip install --no-deps --no-build-isolation --editable .
cp pyproject.toml "$state/"
rm "$state/unfinished"
