// Proves that without leak mode the functions about leaks are there and say so.
#include "leak.h"

int main(void) {
    lose(40);
    CHECK(besom_leak_is_on() == 0);
    CHECK(besom_leak_check() == -1 && errno == ENOTSUP);
    CHECK(besom_leak_ignore(make(1)) == -1);
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    __lsan_do_leak_check();
    __lsan_disable();
    __lsan_enable();
    __lsan_ignore_object(make(1));
}
