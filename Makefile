# besom: `make` builds the libraries, `make demo` shows them at work, `make test` runs every test.

CARGO ?= cargo
LIB := $(CURDIR)/target/release/libbesom.so
BUILD := $(CARGO) rustc --release --locked --lib
COMPARE := $(CARGO) run --release --locked --manifest-path benches/compare/Cargo.toml --

PREFIX ?= /usr/local

.PHONY: all lib install demo deps deps-cc test check fmt clippy doc bench bench-quick bench-medium bench-publish bench-micro bench-scaling bench-leaks stress loom test-programs test-overcommit cross-check clean

all: lib

# Two crate types from one source, asked for here so that a Rust dependant builds neither.
lib: deps-cc
	$(BUILD) --features dlopen --crate-type cdylib
	$(BUILD) --features shared --crate-type staticlib
	ln -sf libbesom.so $(LIB).0

# What programs linked with it look for at run time is the library's name with its version.
# Builds nothing, so that root need not have cargo.
install:
	@test -e $(LIB) || { echo "install: there is no $(LIB): run make first" >&2; exit 1; }
	install -D -m 755 $(LIB) $(DESTDIR)$(PREFIX)/lib/libbesom.so.0
	ln -sf libbesom.so.0 $(DESTDIR)$(PREFIX)/lib/libbesom.so
	install -D -m 644 $(LIB:.so=.a) $(DESTDIR)$(PREFIX)/lib/libbesom.a
	install -D -m 644 include/besom.h $(DESTDIR)$(PREFIX)/include/besom.h

# Rust programs need a linker: the one of the C compiler.
deps-cc:
	@tests/install-test-deps.sh --build

deps:
	@tests/install-test-deps.sh

# A real program on besom, what the allocator did for it, and a leak report.
demo: lib
	@mkdir -p target/demo
	cc -g -O0 -o target/demo/leaky c-tests/demo/leaky.c
	@echo; echo "== Perl on besom, and what the allocator says of it"
	LD_PRELOAD=$(LIB) BESOM_OPTIONS=stats=1 perl -e \
	  'my %h; $$h{$$_ % 50021} .= "sweep " x ($$_ % 7) for 1 .. 300000; printf "%d keys\n", scalar keys %h'
	@echo; echo "== A program that leaks, with the report at its end"
	LD_PRELOAD=$(LIB) BESOM_OPTIONS=leak=1 target/demo/leaky; test $$? -eq 23

test: deps lib
	$(CARGO) test --locked --features leak --no-fail-fast

check: fmt clippy test doc

fmt:
	$(CARGO) fmt --check

clippy: deps-cc
	$(CARGO) clippy --locked --all-targets --features leak -- -D warnings
	$(CARGO) clippy --locked --lib -- -D warnings
	$(CARGO) clippy --locked --lib --features override -- -D warnings
	$(CARGO) clippy --locked --lib --release --features dlopen -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --features leak

# Every workload and allocator, interleaved: hours. The quick form takes minutes. BENCH has more options.
bench: lib
	$(COMPARE) $(BENCH)

# All workloads and peers in half an hour.
bench-medium: lib
	$(COMPARE) --medium $(BENCH)

# The same, with the report put into docs/benchmarks.md.
bench-publish: lib
	$(COMPARE) --medium --publish docs/benchmarks.md $(BENCH)

bench-quick: lib
	$(COMPARE) --quick $(BENCH)

# The Rust interface alone, by criterion; MICRO=--quick for a rougher and shorter form.
bench-micro:
	$(CARGO) bench --locked --bench micro -- $(MICRO)

# What many CPUs, threads and bytes cost: docs/scaling.md.
bench-scaling:
	RUSTFLAGS="--cfg besom_measure" $(CARGO) run --release --locked --manifest-path benches/scaling/Cargo.toml

# Leak mode, against LeakSanitizer and valgrind: an hour, most of it valgrind's.
bench-leaks: lib
	python3 benches/leaks/run.py

# The tests that depend on chance, many times over.
stress: deps lib
	for i in 1 2 3 4 5 6 7 8 9 10; do \
	  $(CARGO) test --locked --features leak --lib -- stress fork storm threads || exit 1; \
	  $(CARGO) test --locked --test c_tests -- life_ rseq_ memory_ || exit 1; \
	done

# The lock-free hand-overs in every interleaving.
loom:
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --lib --features leak --target-dir target/loom -- loom_models

# Servers, languages and a browser on besom; installs them.
test-programs: lib
	tests/install-test-deps.sh --all
	tests/test-programs.sh

# The programs about limits where the kernel does not overcommit: changes a setting of the whole machine.
test-overcommit: deps lib
	tests/test-overcommit.sh

# Verdicts on the leak programs beside valgrind's and LeakSanitizer's.
cross-check: lib
	tests/cross-check.sh

clean:
	$(CARGO) clean
