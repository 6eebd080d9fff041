#!/bin/sh
# Prints the Chromium that the browser tests drive. CHROMIUM names one; without it, an installed one
# is taken, and where there is none, root on Debian gets the distribution's package.
set -eu

say() { printf '%s\n' "$*" >&2; }

find_chromium() {
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}

# Nothing but the path goes to stdout.
install_chromium() {
    say "Installing Debian's package chromium for the browser tests."
    export DEBIAN_FRONTEND=noninteractive
    apt-get --quiet=2 update >&2 &&
        apt-get --quiet=2 install --yes --no-install-recommends chromium >&2
}

if [ -n "${CHROMIUM:-}" ]; then
    command -v "$CHROMIUM" && exit
    say "error: CHROMIUM names '$CHROMIUM', which is not a program."
    exit 1
fi
find_chromium && exit
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    install_chromium && find_chromium && exit
    say "error: Chromium could not be installed."
fi
say "error: the browser tests need Chromium. On Debian: sudo apt-get install chromium." \
    "One that is elsewhere: make test-browser CHROMIUM=/path/to/chromium"
exit 1
