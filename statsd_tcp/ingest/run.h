/* One run over the clients of a listener: what is read goes into the journal, and onto lists of what Python is told. */

#ifndef STATSD_TCP_RUN_H
#define STATSD_TCP_RUN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "checksum.h"
#include "client.h"
#include "limits.h"
#include "sources.h"

enum {
    LARGEST_READ = 65536, /* bytes read at once, at most */
    FRAME_HEAD = 32, /* of the journal, see ledger/journal.py */
    CHECKED_HEAD = 28,
    ALIGNMENT = 8,
    MOST_READS = 1024, /* in one run of which the sources are counted */
};

/* Where in the ledger's cells a listener's counts are, and the journal's head. */
typedef struct {
    Py_ssize_t accepted, eof, reset, error, journal_head;
} Indexes;

/* What one source may do, of which the time is read once in a run, and the cells that count what was over it: those that
 * were closed for that, and all. */
typedef struct {
    Limits memory;
    uint64_t time;
    Py_ssize_t closed, all;
    Py_buffer buffer;
} Limit;

/* One run of accepts on a line port. With versions of the PROXY protocol a header comes before the lines, from a peer in
 * one of the networks, if there are any. The header of the connection that is served is kept, for Python. */
typedef struct {
    uint64_t *cells;
    unsigned char *ring;
    uint64_t size, head, brim, tick, received;
    uint32_t listener;
    int reads;         /* of one connection at most */
    Py_ssize_t at_once; /* bytes in one read at most */
    int ended;
    Indexes indexes;
    PyObject *chunks, *gauges, *unfinished;
    int versions, confirms;
    const unsigned char *networks, *header;
    Py_ssize_t networks_size, header_size;
    Sources *sources; /* NULL: they are not counted */
    Client client;    /* of the connection that is served; its set of records, NULL while it is not known */
    Source *set;
    Limit *limit; /* NULL: there is none */
    int is_over;  /* whether the connection that is served is over the rate of its source, and is only counted so */
    unsigned char *origins; /* the address of each frame's client, zeros for one that is not known */
    Py_ssize_t origins_size;
} Run;

static void count(uint64_t *cells, Py_ssize_t place)
{
    /* A single writer; readers in other processes must never see half a number. */
    __atomic_store_n(&cells[place], cells[place] + 1, __ATOMIC_RELEASE);
}

static void put32(unsigned char *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof value);
}

static void put64(unsigned char *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof value);
}

static void copy_into_ring(const Run *run, uint64_t offset, const unsigned char *data, uint64_t length)
{
    uint64_t at = offset % run->size, first = run->size - at;
    if (first > length)
        first = length;
    memcpy(run->ring + at, data, first);
    memcpy(run->ring, data + first, length - first);
}

/* Publish one frame, as Journal.append does. The caller has seen to the room. */
static void append(Run *run, const unsigned char *lines, uint32_t length)
{
    unsigned char head[FRAME_HEAD] = {0}, checked[CHECKED_HEAD] = {0};
    put64(checked, run->head);
    put64(checked + 8, run->tick);
    put32(checked + 16, run->listener);
    put32(checked + 20, length);
    uint32_t crc = ~crc_of(crc32_tables, crc_of(crc32_tables, ~0u, checked, sizeof checked), lines, length);
    put32(head, length);
    put32(head + 4, crc);
    memcpy(head + 8, checked + 8, CHECKED_HEAD - 8);
    copy_into_ring(run, run->head, head, sizeof head);
    copy_into_ring(run, run->head + FRAME_HEAD, lines, length);
    run->head += (FRAME_HEAD + (uint64_t)length + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
    __atomic_store_n(&run->cells[run->indexes.journal_head], run->head, __ATOMIC_RELEASE);
}

static int keep(PyObject *list, PyObject *item)
{
    if (item == NULL)
        return -1;
    int failed = PyList_Append(list, item);
    Py_DECREF(item);
    return failed;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static Source *source_of(const Run *run)
{
    return source_in(run->sources, run->set, run->client.address, run->listener + 1);
}

static void note_connection(const Run *run, int was_reset)
{
    Source *source = source_of(run);
    add32(&source->connections, 1);
    add32(&source->resets, (uint64_t)was_reset);
}

static void note_frame(Run *run, const unsigned char *lines, uint32_t length)
{
    unsigned char *origin = run->origins + run->origins_size;
    run->origins_size += ADDRESS;
    if (run->set == NULL) {
        memset(origin, 0, ADDRESS);
        return;
    }
    memcpy(origin, run->client.address, ADDRESS);
    Source *source = source_of(run);
    add32(&source->lines, lines_in(lines, length));
    source->bytes += length;
}

/* Is there a "|g" or a "| " (wire/samples.py)? memchr() and a look take a sixth of what memmem() does: it goes byte by
 * byte. What comes last in the lines is a newline. */
static int may_change_gauge(const unsigned char *lines, uint32_t length)
{
    const unsigned char *end = lines + length, *bar = lines;
    while ((bar = memchr(bar, '|', (size_t)(end - bar))) != NULL)
        if (*++bar == 'g' || *bar == ' ')
            return 1;
    return 0;
}

/* Complete lines: into the journal first, then onto the list of what is to be told to the tally. */
static int take(Run *run, const unsigned char *lines, uint32_t length)
{
    /* What happens to a gauge has an order over all workers, see Intake.take. */
    int gauge = may_change_gauge(lines, length);
    if (gauge)
        run->tick = now();
    append(run, lines, length);
    run->received += length;
    if (run->sources)
        note_frame(run, lines, length);
    if (gauge)
        return keep(run->gauges, Py_BuildValue("(Ky#n)", (unsigned long long)run->tick, lines, (Py_ssize_t)length,
                                               PyList_Size(run->chunks)));
    return keep(run->chunks, PyBytes_FromStringAndSize((const char *)lines, length));
}

static void find_set(Run *run)
{
    if (!run->sources || !run->client.is_known)
        return;
    mask(run->sources + BITS_4, run->client.address);
    run->set = set_of(run->sources, run->client.address, run->listener + 1);
    prefetch(run->set);
}

#endif
