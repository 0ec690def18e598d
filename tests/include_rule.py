#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that includes go one way: platform <- dataplane, certs <- federation <- gateway.

    include_rule.py FILE...        checks these files, given relative to the project's root, where it must be run
    include_rule.py --self-test    checks that the rule fails on bad examples and passes good ones

What it holds to:
  - a room includes itself and the rooms below it, and no others (MAY_INCLUDE);
  - our own headers are written "room/file.h", from the root, and exist; system headers are written <…>;
  - DPDK's headers (rte_*) stay in dataplane/, platform/eal.*, and the files of gateway/ that run workers; posternctl
    links no DPDK.
"""
import os
import re
import sys

MAY_INCLUDE = {
    "platform": {"platform"},
    "dataplane": {"platform", "dataplane"},
    "certs": {"platform", "certs"},
    "federation": {"platform", "certs", "federation"},
    "gateway": {"platform", "certs", "dataplane", "federation", "gateway"},
}
EVERYTHING = set(MAY_INCLUDE) | {"tests", "perf"}
MAY_INCLUDE["tests"] = MAY_INCLUDE["perf"] = EVERYTHING

DPDK_ROOMS = {"dataplane", "gateway", "tests", "perf"}
DPDK_FILES = re.compile(r"platform/eal(_\w+)?\.[ch]$")
NEVER_DPDK = re.compile(r"gateway/(posternctl|ctl)\w*\.[ch]$")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>)')


def check(path, text, exists):
    """Returns the complaints about one file, each "path:line: what is wrong"."""
    room = path.split("/")[0]
    complaints = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        ours, system = match.groups()
        wrong = None
        if ours is not None:
            target = ours.split("/")[0]
            if "/" not in ours or ".." in ours.split("/") or target not in EVERYTHING:
                wrong = f'"{ours}" should be "room/file.h", or <…> if it is the system\'s'
            elif target not in MAY_INCLUDE[room]:
                wrong = f"{room}/ must not know of {target}/ ({ours})"
            elif not exists(ours):
                wrong = f'"{ours}" does not exist'
        else:
            if system.split("/")[0] in EVERYTHING:
                wrong = f'<{system}> is ours: write "{system}"'
            elif system.startswith("rte_"):
                allowed = (room in DPDK_ROOMS or DPDK_FILES.match(path)) and not NEVER_DPDK.match(path)
                if not allowed:
                    wrong = f"<{system}>: DPDK stays in dataplane/, platform/eal.* and gateway/, posternctl apart"
        if wrong:
            complaints.append(f"{path}:{number}: {wrong}")
    return complaints


# path, one line of it, whether the rule must complain
EXAMPLES = [
    ("platform/log.c", '#include "platform/log.h"', False),
    ("platform/log.c", '#include "dataplane/flow.h"', True),
    ("platform/log.c", "#include <rte_mbuf.h>", True),
    ("platform/eal.c", "#include <rte_eal.h>", False),
    ("platform/ealing.c", "#include <rte_eal.h>", True),
    ("dataplane/net.c", '#include "platform/ip_addr.h"', False),
    ("dataplane/net.c", "#include <rte_mbuf.h>", False),
    ("dataplane/net.c", '#include "federation/snapshot.h"', True),
    ("dataplane/net.c", '#include "certs/svid.h"', True),
    ("dataplane/net.c", '#include "gateway/decide.h"', True),
    ("dataplane/net.c", '#include "net.h"', True),
    ("dataplane/net.c", '#include "dataplane/../gateway/decide.h"', True),
    ("dataplane/net.c", "#include <platform/log.h>", True),
    ("dataplane/net.c", '#include "stdio.h"', True),
    ("dataplane/net.c", "  #  include\t\"federation/snapshot.h\"", True),
    ("dataplane/net.c", '#include "dataplane/missing.h"', True),
    ("certs/svid.c", '#include "dataplane/flow.h"', True),
    ("federation/load.c", '#include "certs/spiffe_id.h"', False),
    ("federation/load.c", '#include "dataplane/reason.h"', True),
    ("federation/load.c", "#include <rte_hash.h>", True),
    ("gateway/decide.c", '#include "dataplane/dataplane.h"', False),
    ("gateway/posternctl.c", "#include <rte_eal.h>", True),
    ("gateway/posternctl.c", "#include <stdio.h>", False),
    ("gateway/decide.c", '#include "tests/unit/unit.h"', True),
    ("tests/unit/flow_test.c", '#include "dataplane/flow.h"', False),
    ("perf/splice_bench.c", '#include "gateway/decide.h"', False),
]


def self_test():
    failures = 0
    for path, line, bad in EXAMPLES:
        complaints = check(path, line + "\n", lambda name: "missing" not in name)
        if bool(complaints) != bad:
            print(f"{path}: {line}: expected {'a complaint' if bad else 'none'}, got {complaints}")
            failures += 1
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    complaints = []
    for path in arguments:
        if path.split("/")[0] not in MAY_INCLUDE:
            complaints.append(f"{path}: in no room that the rule knows")
            continue
        with open(path, encoding="utf-8") as file:
            complaints += check(path, file.read(), os.path.exists)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
