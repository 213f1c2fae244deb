#!/bin/bash
set -eu
exec perl "$(dirname "$0")/perl.pl"
