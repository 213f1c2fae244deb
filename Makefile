# besom: `make` builds the libraries, `make demo` shows them at work, `make test` runs every test.

CARGO ?= cargo
TARGET ?= target
LIB := $(TARGET)/release/libbesom.so

.PHONY: all lib demo deps test check fmt clippy doc bench bench-quick stress fuzz test-programs install uninstall clean
.DELETE_ON_ERROR:

all: lib

# Two crate types from one source, asked for here so that a Rust dependant builds neither.
lib:
	$(CARGO) rustc --release --locked --lib --crate-type cdylib --features shared
	$(CARGO) rustc --release --locked --lib --crate-type staticlib --features shared
