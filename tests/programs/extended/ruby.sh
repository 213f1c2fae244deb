#!/bin/bash
. "$(dirname "$0")/common.sh"
probe ruby -e 0
same ruby "$(dirname "$0")/heap.rb"
