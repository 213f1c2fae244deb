// Proves that the statistics name the kind of caches that the process runs on, and that it is the best one the machine and the options allow.
// options: stats=1
// expect-stderr-has: besom: {*}caches: {caches}{*}
#include "test.h"
#include <sys/auxv.h>
#include <sys/rseq.h>

/* The kernel tells the length of what it keeps up to date; concurrency ids end at byte 28. */
enum { FEATURE_SIZE_ENTRY = 27, MM_CID_END = 28 };

int main(void) {
    const char *options = getenv("BESOM_OPTIONS");
    if (__rseq_size == 0 || strstr(options, "rseq=0") != NULL)
        SAY_TEXT("caches", "locked shards");
    else if (getauxval(FEATURE_SIZE_ENTRY) >= MM_CID_END)
        SAY_TEXT("caches", "per-CPU (rseq, mm_cid)");
    else
        SAY_TEXT("caches", "per-CPU (rseq, cpu_id)");
}
