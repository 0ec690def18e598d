# SPDX-License-Identifier: Apache-2.0
#
#   make            posternd and posternctl, in build/
#   make demo       two clusters and a gateway in network namespaces; under a minute once built
#   make test       everything that CI runs: unit, simulation, end to end, lint, sanitizers, fuzzing for a minute a target
#   make help       the rest
#
# The first run on a machine installs what Debian packages it lacks (platform/dependencies.sh) and says so.

BUILD ?= build
PREFIX ?= /usr/local
SANITIZE ?=
CC ?= gcc
ROOMS := platform dataplane federation gateway

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
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
	   echo "LIB_LIBS := $$(pkg-config --libs yaml-0.1 libconfig libuv jansson libmicrohttpd)"; \
	   echo "CTL_LIBS := $$(pkg-config --libs yaml-0.1 libconfig jansson)"; \
	   echo "VERSION := $$(git describe --always --dirty 2>/dev/null || echo unknown)"; } > $@

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wwrite-strings -Wundef
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARNINGS) -fno-strict-aliasing -fno-common -ffunction-sections -fdata-sections \
	-D_GNU_SOURCE -I. $(DPDK_CFLAGS) $(LIB_CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS += -Wl,--gc-sections -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# DPDK, statically, with these drivers and no others. mlx5 stays out: it needs libmlx5 and libibverbs at run time and
# adds more than a megabyte.
DPDK_DRIVERS := bus_vdev bus_pci bus_auxiliary mempool_ring net_af_packet net_af_xdp net_memif net_tap net_ring net_null net_pcap \
	net_virtio net_vmxnet3 net_e1000 net_igc net_ixgbe net_i40e net_ice common_iavf net_iavf
DPDK_CORE := ethdev net mbuf mempool rcu ring hash timer security cryptodev vhost gso gro ip_frag bpf eal telemetry kvargs pci meter dmadev
DPDK_LIBS = -Wl,--whole-archive $(DPDK_DRIVERS:%=-l:librte_%.a) -Wl,--no-whole-archive \
	-Wl,--start-group $(DPDK_CORE:%=-l:librte_%.a) -Wl,--end-group \
	-Wl,--as-needed -lxdp -lbpf -lelf -lz -lpcap -lnuma -lbsd -lcrypto -lpthread -ldl -lm -latomic -Wl,--no-as-needed

MAINS := gateway/posternd.c gateway/posternctl.c
SOURCES := $(filter-out $(MAINS),$(foreach room,$(ROOMS),$(sort $(wildcard $(room)/*.c))))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libpostern.a
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/*_test.c)))

all: $(BUILD)/posternd $(BUILD)/posternctl

$(BUILD)/%.o: %.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	$(AR) crs $@ $^

$(BUILD)/posternd: $(BUILD)/gateway/posternd.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)

# The tool links no DPDK: it talks to the daemon, and checks files by itself.
$(BUILD)/posternctl: $(BUILD)/gateway/posternctl.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ -lcunit $(DPDK_LIBS) $(LIB_LIBS)

.PRECIOUS: $(BUILD)/%.o
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

unit: $(UNIT_TESTS)
	@set -e; for t in $^; do echo "== $$t"; $$t; done

clean:
	rm -rf $(BUILD)

help:
	@sed -n '3,9p' Makefile | cut -c3-

.PHONY: all unit clean help

$(BUILD)/perf/splice_bench: $(BUILD)/perf/splice_bench.o $(BUILD)/tests/sim/rig.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(DPDK_LIBS) $(LIB_LIBS)

bench-splice: $(BUILD)/perf/splice_bench
	$<
