/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern.conf: what the box is. Ports, addresses, cores, memory, sockets, log: all that needs a restart or differs
 * from one piece of hardware to the next. What the box *does* is federation.yaml's.
 *
 * Read once at start by conf_load (libconfig); immutable afterwards. Every text in it belongs to the struct and lives
 * until conf_free. An unknown setting is an error, never ignored.
 */
#ifndef POSTERN_PLATFORM_CONF_H
#define POSTERN_PLATFORM_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"
#include "platform/log.h"

enum {
	CONF_PORTS_MAX = 16,
	CONF_ADDRESSES_MAX = 32, /* over all ports */
	CONF_ROUTES_MAX = 256,
	CONF_WORKERS_MAX = 16,
	CONF_NAME_MAX = 32 /* bytes of a port's name, the NUL included */
};

/* A port: one DPDK device, or one VLAN of it. */
struct conf_port {
	char name[CONF_NAME_MAX];   /* as in `interface:` of federation.yaml, metrics and logs */
	char device[CONF_NAME_MAX]; /* EAL name: "0000:01:00.0", or a vdev such as "net_af_xdp0" */
	char *arguments;	    /* devargs after the name, for instance "iface=eth1,start_queue=0"; NULL when none */
	uint16_t vlan;		    /* 802.1Q tag of all its frames, 1..4094; 0: untagged */
	uint16_t mtu;		    /* bytes of an IP packet, 1280..9000 */
	uint16_t rx_descriptors, tx_descriptors; /* a power of two, 64..8192 */
	struct ip_prefix addresses[CONF_ADDRESSES_MAX];
	uint8_t n_addresses;
	bool tap; /* make a tap port, named "NAME" in Linux with a leading "pt-", for what is the host's own */
};

/* A static route. The next hop must be on-link at port. */
struct conf_route {
	struct ip_prefix to;
	struct ip_addr via;
	uint8_t port; /* index in ports */
};

struct conf {
	char *path;	       /* of the file itself */
	char *federation_path; /* federation.yaml, made absolute against the file's folder */

	struct conf_port ports[CONF_PORTS_MAX];
	uint8_t n_ports;
	struct conf_route routes[CONF_ROUTES_MAX];
	uint16_t n_routes;

	uint16_t main_core;		       /* control */
	uint16_t worker_cores[CONF_WORKERS_MAX]; /* one forwarding worker each; may include main_core on a one-core box */
	uint8_t n_workers;

	struct {
		bool huge_pages;
		uint32_t megabytes; /* for packets, 16..65536 */
		uint32_t packets;   /* mbufs, 1024..8388607 */
	} memory;

	struct {
		uint32_t flows;	     /* records over all workers, 1024..16777216 */
		uint32_t holds;	     /* connections that may be in PEEKING at a time, 64..1048576 */
		uint32_t neighbours; /* 64..16384 */
	} tables;

	struct {
		uint16_t local_port_first, local_port_last; /* source ports towards endpoints */
		uint32_t idle_timeout_s;		    /* an established flow, 60..604800; default 8100 (RFC 5382 REQ-5: at least 2 h 4 min) */
		uint32_t half_closed_timeout_s;		    /* 60..604800; default 8100 */
		uint32_t hello_timeout_ms;		    /* from the ACK to a whole ClientHello, 100..60000; default 5000 */
		uint32_t close_linger_ms;		    /* a closed flow's record is kept this long for last retransmissions, 0..240000; default 4000 */
		uint32_t rst_per_second;		    /* RSTs to segments that belong to nothing, for each worker; 0..1000000; default 1000 */
	} flow;

	char *state_directory; /* flow records live here; default /run/postern */
	char *control_socket;  /* UNIX socket of posternctl; default /run/postern/control.sock */
	char *metrics_address; /* "ADDR:PORT" of the Prometheus text; NULL: none */

	struct {
		enum log_level level;
		enum log_format format;
		bool access; /* one line per connection */
	} log;
};

/* Reads and checks path. On success *conf is a new configuration, which conf_free takes. Otherwise returns false and
 * has written every error found to errors, one line each:
 * "path:line: what is wrong". */
struct text; /* platform/text.h */
bool conf_load(const char *path, struct conf **conf, struct text *errors);
void conf_free(struct conf *conf);

#endif
