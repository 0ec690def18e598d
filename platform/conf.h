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
	CONF_HANDSHAKE_THREADS_MAX = 8,
	CONF_CORE_MAX = 1023,  /* highest number of a core: CPU_SETSIZE - 1 */
	CONF_NAME_MAX = 32,    /* bytes of a port's or device's name, the NUL included */
	CONF_TAP_NAME_MAX = 13 /* bytes of a tap port's name, the NUL included: with "pt-" it fits Linux's IFNAMSIZ */
};

/* A port: one DPDK device, or one VLAN of it. */
struct conf_port {
	char name[CONF_NAME_MAX];   /* [a-z0-9_.-], as in `interface:` of federation.yaml, metrics and logs */
	char device[CONF_NAME_MAX]; /* EAL name: "0000:01:00.0", or a vdev such as "net_af_xdp0" */
	char *arguments; /* devargs after the name, for instance "iface=eth1,start_queue=0"; NULL when none */
	uint16_t vlan;   /* 802.1Q tag of all its frames, 1..4094; default 0: untagged */
	uint16_t mtu;    /* bytes of an IP packet, 1280..9000; default 1500 */
	uint16_t rx_descriptors, tx_descriptors;        /* of each queue: a power of two, 64..8192; default 1024 */
	struct ip_prefix addresses[CONF_ADDRESSES_MAX]; /* the port's own, with the on-link prefix's length */
	uint8_t n_addresses;                            /* at least 1 */
	bool tap; /* make a tap port, named "NAME" in Linux with a leading "pt-", for what is the host's own; default no
		   */
};

/* A static route. The next hop is on-link at port. */
struct conf_route {
	struct ip_prefix to; /* no host bits; no two routes have the same */
	struct ip_addr via;  /* of the same family */
	uint8_t port;        /* index in ports */
};

struct conf {
	char *path;            /* of the file itself */
	char *federation_path; /* federation.yaml, made absolute against the file's folder; default "federation.yaml" */

	struct conf_port ports[CONF_PORTS_MAX];
	uint8_t n_ports; /* at least 1 */
	struct conf_route routes[CONF_ROUTES_MAX];
	uint16_t n_routes;

	uint16_t main_core;                      /* control; default 0 */
	uint16_t worker_cores[CONF_WORKERS_MAX]; /* one forwarding worker each; may include main_core, as it must on a
						    one-core box; default 1 */
	uint8_t n_workers;                       /* at least 1 */
	uint32_t cores_line;                     /* where the file says so, for conf_check_host; 1 when it doesn't */

	struct {
		bool huge_pages;    /* default no */
		uint32_t megabytes; /* for packets and the drivers' rings, 16..65536; default 64 */
		uint32_t packets;   /* mbufs, 1024..8388607; default 16384 */
	} memory;

	struct {
		uint32_t flows;      /* records over all workers, 1024..16777216; default 262144 */
		uint32_t holds;      /* connections that may be in PEEKING at a time, 64..1048576; default 4096 */
		uint32_t bridges;    /* connections that end here at a time, 64..4194304; default 16384 */
		uint32_t neighbours; /* 64..16384; default 1024 */
	} tables;

	struct {
		/* Source ports towards endpoints, 1024..65535, at least 1024 of them; default 16384..65535 */
		uint16_t local_port_first, local_port_last;
		/* An established flow, 60..604800; default 8100 (RFC 5382 REQ-5: at least 2 h 4 min) */
		uint32_t idle_timeout_s;
		/* A flow with one side finished, 60..604800; default 8100 */
		uint32_t half_closed_timeout_s;
		/* From the ACK to a whole ClientHello, 100..60000; default 5000 */
		uint32_t hello_timeout_ms;
		/* A closed flow's record is kept this long for last retransmissions, 0..240000; default 4000 */
		uint32_t close_linger_ms;
		/* Told to stop, posternd waits this long for connections to end; then it resets them; 0..86400; default
		 * 10 */
		uint32_t drain_timeout_s;
		/* RSTs to segments that belong to nothing, for each worker; 0..1000000; default 1000 */
		uint32_t rst_per_second;
	} flow;

	struct {
		uint16_t handshake_threads; /* on main_core, 1..CONF_HANDSHAKE_THREADS_MAX; default 1 */
		/* Handshakes of each worker that may wait at each thread: a power of two, 16..16384; default 512 */
		uint16_t handshake_queue;
		/* From the ClientHello until both sides of a bridge are joined, 100..60000; default 10000 */
		uint32_t handshake_timeout_ms;
		/* Connections of an expired certificate go on for so long, 0..604800; default 300 */
		uint32_t expiry_grace_s;
	} tls;

	char *state_directory; /* absolute; flow records live here; default /run/postern */
	char *control_socket;  /* absolute; UNIX socket of posternctl; default /run/postern/control.sock */
	char *metrics_address; /* "ADDR:PORT" of the Prometheus text; NULL: none ("" in the file); default
				  127.0.0.1:15020 */

	struct {
		enum log_level level;   /* default info */
		enum log_format format; /* default json */
		bool access;            /* one line per connection; default yes */
	} log;
};

/* Reads and checks path. On success *conf is a new configuration, which conf_free takes. Otherwise returns false and
 * has written every error found to errors, one line each and in the order of the file:
 * "path:line: what is wrong". What it finds doesn't depend on the machine. */
struct text; /* platform/text.h */
bool conf_load(const char *path, struct conf **conf, struct text *errors);
void conf_free(struct conf *conf);

/* Whether this machine has the cores that conf names, and this process may run on them. Errors as by conf_load. */
bool conf_check_host(const struct conf *conf, struct text *errors);

/* A DPDK device and the ports on it: one that is untagged at most, and its VLANs. */
struct conf_device {
	const char *name, *arguments;            /* of its first port that has arguments; NULL when none has */
	bool pci;                                /* on the PCI bus; else a vdev */
	uint16_t mtu;                            /* the largest of its ports' */
	uint16_t rx_descriptors, tx_descriptors; /* the same in all its ports */
	uint8_t ports[CONF_PORTS_MAX];           /* indices in conf->ports, ascending */
	uint8_t n_ports;
};

/* The devices that conf's ports are on, each once, in the order of their first ports. Returns how many; they point into
 * conf. */
uint8_t conf_devices(const struct conf *conf, struct conf_device devices[CONF_PORTS_MAX]);

/* Whether name is a PCI address as DPDK writes it: "0000:01:00.0", lower case. */
bool conf_device_is_pci(const char *name);

/* Bytes of frame that one mbuf takes: the largest MTU with Ethernet and VLAN headers, and at least 2048, which drivers
 * expect. */
uint32_t conf_packet_room(const struct conf *conf);

/* Bytes of memory that conf's packets take: frame rooms, mbuf headers, and the pool around them. */
uint64_t conf_packet_memory(const struct conf *conf);

#endif
