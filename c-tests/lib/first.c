// flags: -Wl,-z,initfirst
/* A library that is initialised before all others: it is loaded behind besom, and the flag counts for the last one that
   has it. Then it calls the program. */
#pragma weak before_all
void before_all(void);

__attribute__((constructor)) static void construct(void) {
    if (before_all) before_all();
}

/* A program that calls this needs the library. */
void first_touch(void) {}
