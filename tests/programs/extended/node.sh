#!/bin/bash
. "$(dirname "$0")/common.sh"
probe node -e 0
same node "$(dirname "$0")/workers.js"
