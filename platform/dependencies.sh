#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that a target needs and this machine lacks, and says so. Usage: dependencies.sh GROUP…
# Groups: build (compile), test (the peers and tools of make test and make demo; liblwip-dev: a TCP by others, for the
# simulation; swtpm, tpm2-tools, tpm2-openssl: a TPM of software, for a CA whose key is in one), bench (those of make bench), lint.
set -eu

build="gcc make pkg-config git ca-certificates
	libdpdk-dev libxdp-dev libbpf-dev libpcap-dev libnuma-dev libbsd-dev libssl-dev
	libyaml-dev libconfig-dev libuv1-dev libjansson-dev libmicrohttpd-dev libcunit1-dev"
test="iproute2 ethtool curl openssl nginx-light haproxy iputils-ping python3 procps jq clang libclang-rt-14-dev liblwip-dev
	swtpm tpm2-tools tpm2-openssl"
# perf/compare: nginx's TCP mode, testpmd, plots; Envoy's wheel needs a venv.
bench="nginx-light libnginx-mod-stream dpdk-dev gnuplot-nox python3-venv"
lint="clang-format clang-tidy cppcheck python3"

wanted=
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	bench) wanted="$wanted $bench" ;;
	lint) wanted="$wanted $lint" ;;
	*) echo "dependencies.sh: unknown group '$group'" >&2; exit 2 ;;
	esac
done

missing=
for package in $wanted; do
	status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
	[ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "This machine lacks:$missing"
if [ "$(id -u)" != 0 ]; then
	echo "Install them first: sudo apt-get install$missing" >&2
	exit 1
fi
echo "Installing them by apt-get."
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -20 "$log" >&2
	rm -f "$log"
	echo "apt-get failed; its last lines are above." >&2
	exit 1
fi
rm -f "$log"
