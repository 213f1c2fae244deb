#!/bin/bash
# USE_ZEND_ALLOC=0 makes each of PHP's allocations a malloc; the second run leaves its own heap on.
. "$(dirname "$0")/common.sh"
probe php -r '1;'
USE_ZEND_ALLOC=0 same php -d memory_limit=-1 "$(dirname "$0")/heap.php"
same php -d memory_limit=-1 "$(dirname "$0")/heap.php"
same php "$(dirname "$0")/extensions.php"
