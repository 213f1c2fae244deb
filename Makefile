# besom: `make` builds the libraries, `make demo` shows them at work, `make test` runs every test.

CARGO ?= cargo
LIB := target/release/libbesom.so
BUILD := $(CARGO) rustc --release --locked --lib --features shared

.PHONY: all lib demo test check fmt clippy doc clean

all: lib

# Two crate types from one source, asked for here so that a Rust dependant builds neither.
lib:
	$(BUILD) --crate-type cdylib
	$(BUILD) --crate-type staticlib
