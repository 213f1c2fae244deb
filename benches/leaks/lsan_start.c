/* LeakSanitizer's library, preloaded, does not start itself: the compiler's driver links a start into
 * programs built for it. */
void __lsan_init(void);
__attribute__((constructor)) static void start(void)
{
    __lsan_init();
}
