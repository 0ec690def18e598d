# SPDX-License-Identifier: Apache-2.0
#
# The TLS workloads that the scenarios and the demo reach through Postern, and what they serve. Sourced after topology.sh.
#
#   a and b: nginx on 8443 (HTTP/2, TLS 1.2 and 1.3, no session is used twice)
#     /hello       "hello from a\n" (or b)
#     /small /middle /big  1, 10 and BIG_MB megabytes of noise that is the same in every run
#     /upload/     takes a PUT
#   and the same without TLS on 8081
#   b: openssl s_server on 9443, its own report as the page

BIG_MB=500
[ -z "${E2E_QUICK:-}" ] || BIG_MB=50
CA=

# certificates_make: one authority, one P-256 certificate for all that is served here.
certificates_make() {
	local dir=$TOPOLOGY_DIR/tls
	mkdir -p "$dir"
	CA=$dir/ca.pem
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=Postern test authority" \
		-keyout "$dir/ca.key" -out "$CA" 2>/dev/null &&
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=workload" \
			-keyout "$dir/workload.key" -out "$dir/workload.csr" 2>/dev/null &&
		printf 'subjectAltName=%s\n' \
			"DNS:*.shop.example,DNS:*.bank.svc.cluster.local,DNS:*.v1_.payments.bank.svc.cluster.local" \
			>"$dir/extensions" &&
		openssl x509 -req -in "$dir/workload.csr" -CA "$CA" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
			-extfile "$dir/extensions" -out "$dir/workload.pem" 2>/dev/null
}

# noise FILE MEGABYTES: bytes that no link compresses and every run repeats.
noise() {
	head -c "${2}M" /dev/zero |
		openssl enc -aes-128-ctr -K 706f737465726e00706f737465726e00 -iv 00000000000000000000000000000000 >"$1"
}

files_make() {
	local files=$TOPOLOGY_DIR/files
	mkdir -p "$files"
	noise "$files/small" 1
	noise "$files/middle" 10
	noise "$files/big" "$BIG_MB"
	SMALL_SHA256=$(sha256sum "$files/small" | cut -d' ' -f1)
	MIDDLE_SHA256=$(sha256sum "$files/middle" | cut -d' ' -f1)
	BIG_SHA256=$(sha256sum "$files/big" | cut -d' ' -f1)
}

# nginx_folders DIR: where nginx keeps what is under way, in its configuration's words.
nginx_folders() {
	local kind
	for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $1/$kind;"; done
}

nginx_conf() {
	local name=$1 dir=$TOPOLOGY_DIR/nginx-$1
	cat <<-EOF
		user root;
		daemon off;
		worker_processes 1;
		pid $dir/pid;
		error_log $dir/error.log warn;
		worker_rlimit_nofile 8192;
		events { worker_connections 4096; }
		http {
			access_log off;
			$(nginx_folders "$dir")
			client_max_body_size 0;
			sendfile on;
			log_format connections '\$connection \$server_protocol \$ssl_protocol \$ssl_server_name \$request_uri \$status';
			server {
				listen 8443 ssl http2 backlog=4096;
				listen [::]:8443 ssl http2 backlog=4096;
				listen 8081;
				listen [::]:8081;
				ssl_certificate $TOPOLOGY_DIR/tls/workload.pem;
				ssl_certificate_key $TOPOLOGY_DIR/tls/workload.key;
				ssl_protocols TLSv1.2 TLSv1.3;
				ssl_session_cache off;
				ssl_session_tickets off;
				root $TOPOLOGY_DIR/files;
				location = /hello { return 200 "hello from $name\n"; }
				location = /small { access_log $dir/access.log connections; }
				location /upload/ { dav_methods PUT; alias $dir/upload/; }
			}
		}
	EOF
}

# nginx_start NAME; its process is NGINX_PID. Stopped with stop_bg.
nginx_start() {
	local name=$1 dir=$TOPOLOGY_DIR/nginx-$1
	mkdir -p "$dir/upload"
	nginx_conf "$name" >"$dir/nginx.conf"
	in_ns "$name" sysctl -qw net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096
	start_bg "$name" "$dir/log" nginx -c "$dir/nginx.conf" -p "$dir" -e "$dir/error.log"
	NGINX_PID=$STARTED_PID
	wait_for 5 in_ns "$name" curl -sf --cacert "$CA" --resolve "x.shop.example:8443:127.0.0.1" \
		https://x.shop.example:8443/hello
}

s_server_start() {
	start_bg b "$TOPOLOGY_DIR/s_server.log" openssl s_server -accept 9443 -www -quiet \
		-cert "$TOPOLOGY_DIR/tls/workload.pem" -key "$TOPOLOGY_DIR/tls/workload.key"
	wait_for 5 in_ns b curl -sf --cacert "$CA" --resolve "x.shop.example:9443:127.0.0.1" https://x.shop.example:9443/
}

servers_start() {
	certificates_make && files_make && nginx_start a && nginx_start b && s_server_start
}
