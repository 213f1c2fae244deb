#!/bin/bash
# Static, compressed and proxied pages under load, with configuration reloads in between.
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin

mkdir -p www tmp
seq 1 20000 >www/large.txt
echo 'hello' >www/small.txt
for i in $(seq 300); do echo "$i" >"www/file$i.txt"; done

configure() {
    cat >nginx.conf <<CONF
daemon off;
worker_processes 2;
pid $PWD/nginx.pid;
error_log $PWD/error.log warn;
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
events { worker_connections 512; }
http {
    access_log $PWD/access.txt;
    types { text/plain txt; }
    client_body_temp_path $PWD/tmp/body;
    proxy_temp_path $PWD/tmp/proxy;
    fastcgi_temp_path $PWD/tmp/fastcgi;
    uwsgi_temp_path $PWD/tmp/uwsgi;
    scgi_temp_path $PWD/tmp/scgi;
    gzip on;
    gzip_types text/plain;
    server {
        listen 127.0.0.1:$1;
        root $PWD/www;
        location /list/ { alias $PWD/www/; autoindex on; }
        location /proxy/ { proxy_pass http://127.0.0.1:$1/; proxy_buffers 16 4k; }
    }
}
CONF
}

# A port that nobody listens on: the first on which nginx stays up.
for port in $(shuf -i 20000-29999 -n 10); do
    configure "$port"
    "${PRELOAD[@]}" nginx -e "$PWD/error.log" -c "$PWD/nginx.conf" >server.log 2>&1 &
    SERVER=$!
    for _ in $(seq 50); do
        [ -s nginx.pid ] || ! kill -0 $SERVER 2>/dev/null || { sleep 0.2; continue; }
        break
    done
    kill -0 $SERVER 2>/dev/null && break
    SERVER=
done
[ -n "$SERVER" ] || fail "nginx does not start: $(tail -n 1 error.log server.log)"
url=http://127.0.0.1:$port
wait_for 'nginx' curl -fs "$url/small.txt"
on_library $SERVER
for worker in $(pgrep -P $SERVER); do on_library "$worker"; done

load() {
    run "wrk.log" wrk -t2 -c20 -d3s "$@"
    grep -qE '[1-9][0-9]* requests in' wrk.log || fail "wrk $*: no requests"
    ! grep -E 'Non-2xx|Socket errors' wrk.log >&2 || fail "wrk $*: $(grep -E 'Non-2xx|Socket errors' wrk.log)"
}
load "$url/small.txt"
load -H 'Accept-Encoding: gzip' "$url/large.txt"
load "$url/list/"
load -H 'Connection: close' "$url/proxy/large.txt"

# New workers while the old ones finish their requests, after which they close their connections.
for _ in 1 2 3 4 5; do kill -HUP $SERVER; sleep 0.3; done &
load -H 'Connection: close' -H 'Accept-Encoding: gzip' "$url/proxy/large.txt"
wait $!

for path in large.txt small.txt proxy/large.txt; do
    [ "$(curl -fs --compressed "$url/$path" | sha256sum)" = "$(sha256sum <"www/${path#proxy/}")" ] || fail "$path came back changed"
done
[ "$(curl -fs "$url/list/" | grep -c 'file[0-9]*.txt')" -eq 300 ] || fail 'the listing is incomplete'
! grep -E 'exited on signal|\[alert\]' error.log >&2 || fail "a worker died: $(grep -E 'exited on signal|\[alert\]' error.log | head -n 1)"
stop_and_check
