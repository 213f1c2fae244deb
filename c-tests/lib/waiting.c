/* A library that calls the program while the dynamic linker loads it. */
void waiting_hook(void) __attribute__((weak));

__attribute__((constructor)) static void loaded(void) {
    if (waiting_hook != 0) waiting_hook();
}
