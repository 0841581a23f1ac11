#!/bin/sh
# make_servers.sh: a redis-server for the tests, through apt where that may be done without asking; it is not started.
if command -v redis-server >/dev/null 2>&1; then exit 0; fi
if [ -n "${HASHSTASH_TEST_REDIS_URL:-}" ]; then exit 0; fi
skipped="redis-server is not installed, and could not be: the tests that need it will be skipped"
if ! command -v apt-get >/dev/null 2>&1; then echo "$skipped"; exit 0; fi
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else echo "$skipped"; exit 0; fi
install() { $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q redis-server </dev/null >/dev/null 2>&1; }
echo "installing redis-server for the tests"
install || { $as_root apt-get update -q </dev/null >/dev/null 2>&1; install; } || echo "$skipped"
