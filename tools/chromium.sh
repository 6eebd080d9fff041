#!/bin/sh
# Prints the path of Chromium for the browser tests: $CHROMIUM, otherwise an installed one. On Debian,
# root installs the package of the distribution if there is none.
set -eu

say() { printf '%s\n' "$*" >&2; }

find_chromium() {
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}

# stdout is for the path only
install_chromium() {
    say "Installing Debian's package chromium for the browser tests."
    export DEBIAN_FRONTEND=noninteractive
    apt-get --quiet=2 update >&2 &&
        apt-get --quiet=2 install --yes --no-install-recommends chromium >&2
}

if [ -n "${CHROMIUM:-}" ]; then
    command -v "$CHROMIUM" && exit
    say "error: CHROMIUM: '$CHROMIUM' is not a program."
    exit 1
fi
find_chromium && exit
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    install_chromium && find_chromium && exit
    say "error: Chromium could not be installed."
fi
say "error: the browser tests need Chromium. On Debian: sudo apt-get install chromium." \
    "For another path: make test-browser CHROMIUM=/path/to/chromium"
exit 1
