/* Switches callgrind's counting on and off. Outside valgrind these are no-ops. */
#include <valgrind/callgrind.h>

static int instrumented;

void count_on(void)
{
    if (!instrumented) {
        instrumented = 1;
        CALLGRIND_START_INSTRUMENTATION;
    }
    CALLGRIND_TOGGLE_COLLECT;
}

void count_off(void)
{
    CALLGRIND_TOGGLE_COLLECT;
}
