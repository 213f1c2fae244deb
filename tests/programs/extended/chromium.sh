#!/bin/bash
# Chromium brings its own allocator for its own code; the libraries beneath it and libc use malloc. As
# root it runs without its sandbox; and nothing in it may look for the network.
. "$(dirname "$0")/common.sh"

browse() {
    "${PRELOAD[@]}" chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --disable-default-apps \
        --disable-extensions --disable-dev-shm-usage --host-resolver-rules='MAP * ~NOTFOUND' \
        --user-data-dir="$PWD/profile" --virtual-time-budget=20000 "$@"
}
page=file://$(realpath "$(dirname "$0")")/page.html
export HOME=$PWD XDG_CONFIG_HOME=$PWD XDG_CACHE_HOME=$PWD

browse --dump-dom "$page" >dom.html 2>dom.log || fail "--dump-dom ended with status $?: $(tail -n 1 dom.log)"
grep -q '<p id="answer">done 3000 items, 499500, worker 704982704</p>' dom.html || fail "the page says: $(grep -o '<p id="answer">[^<]*' dom.html)"
[ "$(grep -o '<li' dom.html | wc -l)" -eq 3000 ] || fail 'the page lacks items'

browse --window-size=800,600 --screenshot="$PWD/shot.png" "$page" >shot.log 2>&1 || fail "--screenshot ended with status $?"
[ "$(head -c 4 shot.png | tail -c 3)" = PNG ] && [ "$(stat -c %s shot.png)" -gt 5000 ] || fail 'no screenshot'
browse --print-to-pdf="$PWD/page.pdf" "$page" >pdf.log 2>&1 || fail "--print-to-pdf ended with status $?"
[ "$(head -c 4 page.pdf)" = %PDF ] || fail 'no PDF'

# The process that the wrapper script becomes has the library in it.
"${PRELOAD[@]}" chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --host-resolver-rules='MAP * ~NOTFOUND' \
    --user-data-dir="$PWD/profile2" --remote-debugging-pipe about:blank >server.log 2>&1 3</dev/zero 4>/dev/null &
SERVER=$!
wait_for 'chromium' sh -c "readlink /proc/$SERVER/exe | grep -q chromium/chromium"
on_library $SERVER
