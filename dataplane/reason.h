/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a packet was dropped, why a connection was refused, why a flow ended: one list, one table of texts, one counter
 * for each and worker. The texts are what `posternctl drops`, the metric label `reason` and the access log print; grep
 * for one to find the line that decided.
 */
#ifndef POSTERN_DATAPLANE_REASON_H
#define POSTERN_DATAPLANE_REASON_H

#include <stdint.h>

/* What kind of thing a reason is about. */
enum reason_class {
	REASON_PACKET,  /* one packet was dropped */
	REASON_REFUSAL, /* a connection was refused, or its setting up failed */
	REASON_END      /* a flow that had been passing ended */
};

/* X(constant, class, text, what it means) */
#define REASON_LIST(X)                                                                                                 \
	X(NONE, END, "none", "nothing went wrong")                                                                     \
	/* packets: Ethernet and IP */                                                                                 \
	X(FRAME_SHORT, PACKET, "frame_short", "the frame ends before its headers do")                                  \
	X(FRAME_SEGMENTED, PACKET, "frame_segmented", "the frame's headers span more than one buffer")                 \
	X(VLAN_UNKNOWN, PACKET, "vlan_unknown", "no port has this VLAN tag, or the tag is missing")                    \
	X(MAC_NOT_OURS, PACKET, "mac_not_ours", "the frame is addressed to another station")                           \
	X(ETHERTYPE_UNKNOWN, PACKET, "ethertype_unknown", "neither IPv4, IPv6 nor ARP")                                \
	X(IP_VERSION, PACKET, "ip_version", "the IP version disagrees with the ethertype")                             \
	X(IP_LENGTH, PACKET, "ip_length", "an IP length field disagrees with the frame")                               \
	X(IP_CHECKSUM, PACKET, "ip_checksum", "bad IPv4 header checksum")                                              \
	X(IP_FRAGMENT, PACKET, "ip_fragment", "an IP fragment; TLS over TCP has no need of them")                      \
	X(IP_OPTIONS, PACKET, "ip_options", "IPv4 options or IPv6 extension headers before the transport header")      \
	X(IP_MARTIAN, PACKET, "ip_martian", "an address that can't be a source or destination here")                   \
	X(IP_LAND, PACKET, "ip_land", "the source is one of our own addresses")                                        \
	X(IP_NOT_OURS, PACKET, "ip_not_ours", "the destination isn't one of our addresses; Postern doesn't route")     \
	X(IP_PROTOCOL, PACKET, "ip_protocol", "a transport protocol without use here, and no tap to hand it to")       \
	/* packets: ARP, ND, ICMP */                                                                                   \
	X(ARP_MALFORMED, PACKET, "arp_malformed", "not an Ethernet/IPv4 ARP packet (RFC 826)")                         \
	X(ARP_UNSOLICITED, PACKET, "arp_unsolicited", "an ARP packet that we have no use for")                         \
	X(ND_MALFORMED, PACKET, "nd_malformed", "a neighbour discovery message that fails RFC 4861 section 7.1")       \
	X(ND_UNSOLICITED, PACKET, "nd_unsolicited", "a neighbour discovery message that we have no use for")           \
	X(ICMP_MALFORMED, PACKET, "icmp_malformed", "a truncated ICMP message or one with a bad checksum")             \
	X(ICMP_IGNORED, PACKET, "icmp_ignored", "an ICMP message that we have no use for")                             \
	X(ICMP_UNMATCHED, PACKET, "icmp_unmatched", "an ICMP error that quotes no packet of ours within its window")   \
	X(NEIGHBOUR_PENDING, PACKET, "neighbour_pending", "the next hop's MAC isn't known yet and its queue is full")  \
	X(NEIGHBOUR_FAILED, PACKET, "neighbour_failed", "the next hop doesn't answer ARP or ND")                       \
	X(NEIGHBOUR_TABLE_FULL, PACKET, "neighbour_table_full", "no room for another neighbour")                       \
	X(NO_ROUTE, PACKET, "no_route", "no route to the destination")                                                 \
	/* packets: TCP */                                                                                             \
	X(TCP_SHORT, PACKET, "tcp_short", "the TCP header is truncated or its data offset lies")                       \
	X(TCP_CHECKSUM, PACKET, "tcp_checksum", "bad TCP checksum")                                                    \
	X(TCP_FLAGS, PACKET, "tcp_flags", "a combination of flags that no TCP sends")                                  \
	X(TCP_OPTIONS, PACKET, "tcp_options", "malformed TCP options")                                                 \
	X(TCP_PORT_ZERO, PACKET, "tcp_port_zero", "source or destination port 0")                                      \
	X(TCP_WINDOW, PACKET, "tcp_window", "a sequence or acknowledgment number outside what may be accepted")        \
	X(TCP_TIMESTAMP_MISSING, PACKET, "tcp_timestamp_missing",                                                      \
	  "no timestamp where they were negotiated (RFC 7323)")                                                        \
	X(TCP_STATE, PACKET, "tcp_state", "a segment that has no meaning in the flow's state")                         \
	X(COOKIE_BAD, PACKET, "cookie_bad", "an ACK that belongs to no flow and carries no valid SYN cookie")          \
	X(COOKIE_OUT_OF_ORDER, PACKET, "cookie_out_of_order", "data ahead of the ACK that ends the handshake")         \
	X(NO_LISTENER, PACKET, "no_listener", "no listener at this address and port, and no tap to hand it to")        \
	X(SYN_SHED, PACKET, "syn_shed", "a SYN from nobody known, while more of them came than can be answered")       \
	X(LISTENER_DRAINING, PACKET, "listener_draining", "a SYN while Postern drains")                                \
	X(RST_LIMITED, PACKET, "rst_limited", "a segment that belongs to nothing, above the rate of RSTs")             \
	X(HOLD_BEYOND, PACKET, "hold_beyond", "bytes beyond what may be held before the endpoint is chosen")           \
	/* packets: Postern's own limits */                                                                            \
	X(FLOW_TABLE_FULL, PACKET, "flow_table_full", "no free flow record")                                           \
	X(HOLD_POOL_EMPTY, PACKET, "hold_pool_empty", "no free buffer to hold a ClientHello")                          \
	X(PACKET_POOL_EMPTY, PACKET, "packet_pool_empty", "no free packet buffer")                                     \
	X(HANDOVER_FULL, PACKET, "handover_full", "the owning worker's hand-over ring is full")                        \
	X(TX_FULL, PACKET, "tx_full", "the port's transmit queue is full")                                             \
	X(TAP_FULL, PACKET, "tap_full", "the tap to the host is full")                                                 \
	/* connections: what the client sent */                                                                        \
	X(HELLO_NOT_TLS, REFUSAL, "hello_not_tls", "the first bytes aren't a TLS handshake record")                    \
	X(HELLO_MALFORMED, REFUSAL, "hello_malformed", "a ClientHello that breaks RFC 8446 section 4.1.2")             \
	X(HELLO_TOO_LARGE, REFUSAL, "hello_too_large", "a ClientHello of more than 16 KiB")                            \
	X(HELLO_TIMEOUT, REFUSAL, "hello_timeout", "no whole ClientHello in time")                                     \
	X(RECLAIMED, REFUSAL, "reclaimed",                                                                             \
	  "room was short, and its ClientHello wasn't whole, or its endpoint silent; the client may repeat it")        \
	X(CLIENT_CLOSED, REFUSAL, "client_closed", "the client closed before it had sent a whole ClientHello")         \
	X(CLIENT_RESET, REFUSAL, "client_reset", "the client reset the connection before it was established")          \
	X(SNI_MISSING, REFUSAL, "sni_missing", "no server name, and the listener needs one")                           \
	X(SNI_INVALID, REFUSAL, "sni_invalid", "the server name isn't a DNS host name (RFC 6066 section 3)")           \
	X(SNI_NO_MATCH, REFUSAL, "sni_no_match", "no route of the listener matches the server name")                   \
	X(SNI_NOT_ISTIO, REFUSAL, "sni_not_istio", "AUTO_PASSTHROUGH needs outbound_.<port>_.<subset>_.<host>")        \
	X(SERVICE_UNKNOWN, REFUSAL, "service_unknown", "no service of that host is admitted by the listener's hosts")  \
	X(SERVICE_PORT, REFUSAL, "service_port", "the service has no such port, or it isn't TLS")                      \
	X(SERVICE_SUBSET, REFUSAL, "service_subset", "the service has no such subset")                                 \
	/* connections: the endpoint */                                                                                \
	X(NO_ENDPOINT, REFUSAL, "no_endpoint", "the service has no endpoint")                                          \
	X(MAX_CONNECTIONS, REFUSAL, "max_connections", "connectionPool.tcp.maxConnections is reached")                 \
	X(CONNECT_TIMEOUT, REFUSAL, "connect_timeout", "no endpoint answered the SYN in time")                         \
	X(CONNECT_REFUSED, REFUSAL, "connect_refused", "the endpoint answered the SYN with RST")                       \
	X(CONNECT_UNREACHABLE, REFUSAL, "connect_unreachable",                                                         \
	  "ICMP said that the endpoint is unreachable, or no route")                                                   \
	X(LOCAL_PORTS, REFUSAL, "local_ports", "no free local port towards the endpoint")                              \
	X(BRIDGE_POOL_EMPTY, REFUSAL, "bridge_pool_empty",                                                             \
	  "no free record for a connection that ends here (tables.bridges)")                                           \
	X(ENDPOINT_OPTIONS, REFUSAL, "endpoint_options",                                                               \
	  "the endpoint's TCP options can't be translated to the client's")                                            \
	/* connections: TLS sessions that end here */                                                                  \
	X(TLS_SHED, REFUSAL, "tls_shed", "the handshake threads have as much to do as they may have waiting")          \
	X(TLS_HANDSHAKE_TIMEOUT, REFUSAL, "tls_handshake_timeout", "no TLS handshake in time")                         \
	X(TLS_HANDSHAKE_CLOSED, REFUSAL, "tls_handshake_closed", "the peer closed in the middle of the TLS handshake") \
	X(TLS_HANDSHAKE_FAILED, REFUSAL, "tls_handshake_failed", "a TLS handshake that breaks the protocol")           \
	X(TLS_HANDSHAKE_TOO_LARGE, REFUSAL, "tls_handshake_too_large",                                                 \
	  "more than 64 KiB of TLS handshake, or of certificates in it")                                               \
	X(TLS_VERSION, REFUSAL, "tls_version", "the peer speaks no version of TLS that is allowed here")               \
	X(TLS_NO_SHARED_CIPHER, REFUSAL, "tls_no_shared_cipher",                                                       \
	  "no cipher suite, group or signature algorithm in common with the peer")                                     \
	X(TLS_NO_SHARED_PROTOCOL, REFUSAL, "tls_no_shared_protocol", "no ALPN protocol in common with the peer")       \
	X(TLS_CLIENT_CERTIFICATE_MISSING, REFUSAL, "tls_client_certificate_missing",                                   \
	  "the client has no certificate, and must have one")                                                          \
	X(TLS_PEER_UNTRUSTED, REFUSAL, "tls_peer_untrusted", "the peer's certificate leads to no authority of ours")   \
	X(TLS_PEER_EXPIRED, REFUSAL, "tls_peer_expired", "a certificate of the peer's has expired or isn't valid yet") \
	X(TLS_PEER_REVOKED, REFUSAL, "tls_peer_revoked", "a certificate of the peer's is revoked, or might be")        \
	X(TLS_PEER_MALFORMED, REFUSAL, "tls_peer_malformed", "a certificate of the peer's breaks its standard")        \
	X(TLS_PEER_IDENTITY, REFUSAL, "tls_peer_identity", "the peer proved to be somebody else than was expected")    \
	X(TLS_ALERT_RECEIVED, REFUSAL, "tls_alert_received", "the peer ended the TLS session with a fatal alert")      \
	X(TLS_OWN_CREDENTIAL, REFUSAL, "tls_own_credential", "our own certificate or key can't be used")               \
	X(TLS_NO_MEMORY, REFUSAL, "tls_no_memory", "no memory for a TLS session")                                      \
	/* connections: authorization */                                                                               \
	X(AUTHZ_DENIED, REFUSAL, "authz_denied", "a DENY policy matches the client")                                   \
	X(AUTHZ_NOT_ALLOWED, REFUSAL, "authz_not_allowed", "no ALLOW policy admits the client")                        \
	X(AUTHZ_DEFAULT_DENY, REFUSAL, "authz_default_deny",                                                           \
	  "no ALLOW policy admits a client that is of another trust domain, or proved nothing")                        \
	/* flows */                                                                                                    \
	X(CLOSED, END, "closed", "both sides closed")                                                                  \
	X(RESET_BY_CLIENT, END, "reset_by_client", "the client sent RST")                                              \
	X(RESET_BY_ENDPOINT, END, "reset_by_endpoint", "the endpoint sent RST")                                        \
	X(IDLE_TIMEOUT, END, "idle_timeout", "nothing passed for the idle time-out")                                   \
	X(HALF_CLOSED_TIMEOUT, END, "half_closed_timeout", "one side closed and nothing passed since")                 \
	X(TLS_RECORD_BAD, END, "tls_record_bad", "a TLS record that can't be decrypted, or that has no place there")   \
	X(TLS_RECORD_TRUNCATED, END, "tls_record_truncated", "the peer closed TCP without close_notify before it")     \
	X(TLS_CHATTER, END, "tls_chatter", "more TLS messages beside the data than make sense, such as key updates")   \
	X(TLS_RENEGOTIATION, END, "tls_renegotiation", "the peer asked for a TLS renegotiation")                       \
	X(HANDSHAKE_RECLAIMED, END, "handshake_reclaimed",                                                             \
	  "the table was full, and the client had sent nothing since its ClientHello")                                 \
	X(PACKETS_RECLAIMED, END, "packets_reclaimed",                                                                 \
	  "packet buffers were short, and nobody took what waited in its")                                             \
	X(HOLD_UNDELIVERED, END, "hold_undelivered", "the endpoint never acknowledged the bytes held for it")          \
	X(CLIENT_SILENT, END, "client_silent", "the client acknowledged nothing for too long")                         \
	X(ENDPOINT_SILENT, END, "endpoint_silent", "the endpoint acknowledged nothing for too long")                   \
	X(ADOPT_BRIDGED, END, "adopt_bridged", "it ended in the process before, which took its state along")           \
	X(AUTHZ_WITHDRAWN, END, "authz_withdrawn", "policies that admitted the client no longer do")                   \
	X(PEER_DISTRUSTED, END, "peer_distrusted",                                                                     \
	  "a peer's certificate was revoked, or its authority or mapping taken away")                                  \
	X(PEER_EXPIRED, END, "peer_expired", "a peer's certificate expired, and its grace period is over")             \
	X(ADOPT_HELD, END, "adopt_held", "bytes that Postern was to deliver died with the process before")             \
	X(ADOPT_DAMAGED, END, "adopt_damaged", "the process before left a record that makes no sense")                 \
	X(ADOPT_ADDRESS, END, "adopt_address", "after a restart its address is no longer in postern.conf")             \
	X(ADOPT_FULL, END, "adopt_full", "after a restart there is no room for it in the table of flows")              \
	X(ADMIN_CLOSED, END, "admin_closed", "an operator or the end of draining closed it")                           \
	X(SHUTDOWN, END, "shutdown", "Postern stopped")

enum reason {
#define X(constant, class, text, meaning) REASON_##constant,
	REASON_LIST(X)
#undef X
		REASON_COUNT
};

/* "sni_no_match". Never NULL; "unknown" for what isn't a reason. */
const char *reason_text(enum reason reason);
/* One sentence for a person. Never NULL. */
const char *reason_meaning(enum reason reason);
/* REASON_END for what isn't a reason. */
enum reason_class reason_class(enum reason reason);

#endif
