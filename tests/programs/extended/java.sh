#!/bin/bash
# The compiler and the program on the library: the virtual machine's own structures, compilers' arenas,
# direct buffers and zlib streams come from malloc, Java objects do not.
. "$(dirname "$0")/common.sh"
probe java -version
run javac.log javac -J-Xmx256m -d classes "$(dirname "$0")/Threads.java"
same java -Xmx256m -cp classes Threads
