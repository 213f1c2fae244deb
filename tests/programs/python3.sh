#!/bin/bash
# Two dozen modules of CPython's test suite, three processes at a time since many of the tests wait.
# PYTHONMALLOC=malloc takes pymalloc's arenas out of the way, so that each Python object is one malloc.
set -eu
export PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1

# The python3 on the path may have come without its test suite; Debian's has it in a package of its own.
python=
for candidate in python3 /usr/bin/python3; do
    if path=$("$candidate" -c 'import sys, test.test_json; print(sys.executable)' 2>/dev/null); then
        python=$path
        break
    fi
done
[ -n "$python" ] || { echo "no python3 with its test suite (package libpython3.11-testsuite)" >&2; exit 1; }

modules="test_threading test_subprocess test_asyncio.test_queues test_asyncio.test_locks
    test_asyncio.test_streams test_fork1 test_pickle test_weakref test_json test_gc test_decimal
    test_re test_dict test_list test_array test_zlib test_bz2 test_lzma test_sqlite3 test_ctypes
    test_mmap test_xml_etree"

# test_import_from_another_thread needs a Python whose site directory imports no threading. Others send SIGINT, which
# is ignored in what a shell has put into the background.
# shellcheck disable=SC2086
env --default-signal "$python" -m test -j3 -i test_import_from_another_thread $modules >log 2>&1 || { cat log >&2; exit 1; }
# The names and counts, without the times and the order of completion.
grep -oE '\] test_[a-z0-9_.]+' log | sort
grep -E '^Total tests:|^Total test files:|^Result: ' log || tail -n 1 log
