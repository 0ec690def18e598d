/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports on DPDK devices: opened at start by the main thread, polled by the workers through struct device (net.h).
 *
 * Queues. A NIC gets a receive queue for every worker when it can spread TCP by RSS; everything without RSS of its own
 * (af_packet, af_xdp, tap, memif, ring, pcap, null) gets one, and worker 0 hands over. In particular
 * af_packet's fanout is not used: it hashes differently and moves flows under load.
 *
 * Checksums are left to hardware only where hardware checks what was on a wire. Paravirtual devices (virtio, vmxnet3,
 * tap) that are offered receive checksum offload take it as leave to send us packets without a checksum.
 *
 * Sleeping. port_wakeup_fds are descriptors that become readable when a frame waits: interrupts of a NIC, the driver's
 * own sockets of af_packet and af_xdp, the tap's file. Some devices have none.
 */
#ifndef POSTERN_DATAPLANE_PORT_H
#define POSTERN_DATAPLANE_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/net.h"

struct rte_mempool;
struct text;

enum { PORT_WAKEUP_MAX = 4, PORT_INTERFACE_MAX = 16 };

/* Opens the DPDK device of conf->ports[index] and fills *device; ports of the same device, with other VLANs, share it:
 * open it once. The EAL is up; a virtual device that it wasn't told of is made here. False, and what is wrong and what
 * to do in error (no line break), when it can't be used as postern.conf says. */
bool port_open(const struct conf *conf, uint8_t index, uint16_t n_workers, struct rte_mempool *pool,
	       struct device *device, struct text *error);

/* Opens a tap "pt-NAME" for the host, with the MAC and MTU of that port. */
bool port_open_tap(const struct conf *conf, uint8_t index, const struct device *port, struct rte_mempool *pool,
		   struct device *tap, struct text *error);

/* The Linux interface under an af_packet or af_xdp device (IFNAMSIZ bytes). False: it has none. */
bool port_linux_interface(const char *device, const char *arguments, char name[PORT_INTERFACE_MAX]);

/* Stops and closes what one of the two opened. */
void port_close(struct device *device);

/* Descriptors to wait on for frames of a queue, at most PORT_WAKEUP_MAX; returns how many, 0 when the device has none.
 * They stay the driver's: not to be read from or closed. Level-triggered: readable until the frames are taken, a NIC's
 * until it is disarmed. */
unsigned port_wakeup_fds(const struct device *device, uint16_t queue, int fds[PORT_WAKEUP_MAX]);

/* Before a sleep (arm) and after it (not): NICs interrupt only when armed; others need nothing. After arming, poll once
 * more before sleeping: a frame that came in between doesn't interrupt. */
void port_wakeup_arm(struct device *device, uint16_t queue, bool arm);

#endif
