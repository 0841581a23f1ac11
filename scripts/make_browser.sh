#!/bin/sh
# make_browser.sh: Chromium and its driver for the tests of JupyterLab, through apt where that may be done without asking.
if command -v chromedriver >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1; then exit 0; fi
if command -v chromedriver >/dev/null 2>&1 && command -v google-chrome >/dev/null 2>&1; then exit 0; fi
skipped="chromium and chromedriver are not installed, and could not be: the tests in a browser will be skipped"
if ! command -v apt-get >/dev/null 2>&1; then echo "$skipped"; exit 0; fi
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else echo "$skipped"; exit 0; fi
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        chromium chromium-driver fonts-liberation </dev/null >/dev/null 2>&1
}
echo "installing chromium for the tests"
install || { $as_root apt-get update -q </dev/null >/dev/null 2>&1; install; } || echo "$skipped"
