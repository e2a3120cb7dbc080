/* The worker's side of the memory of sources: what who/table.py does, in C. The numbers are those of who/layout.py. */

#ifndef STATSD_TCP_SOURCES_H
#define STATSD_TCP_SOURCES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "client.h"

enum {
    CELLS_SIZE = 4096,
    OPEN = 1, /* cells */
    BITS_4 = 4, /* the next one is that of IPv6 */
    FIRST_KEY = 6,
    SOURCES = 13,
    TABLE_SETS = 14,
    WAYS = 8,
    WORDS = ADDRESS / 4,
    PREFETCHED = 3, /* records: few sets have more */
};

/* A record, one line of the processor's cache. It is free while its listener is 0. */
typedef struct {
    unsigned char address[ADDRESS];
    uint32_t listener, connections, err, lines;
    uint64_t bytes;
    uint32_t bad, resets, evicted, limited;
    uint64_t spare;
} Source;

/* The memory, NULL where sources are not counted. Its size is checked once for each call from Python. */
typedef uint64_t Sources;

static int sources_fit(const Sources *cells, size_t size)
{
    if (size < CELLS_SIZE)
        return 0;
    uint64_t sets = cells[TABLE_SETS];
    return 0 < sets && sets <= size && size == CELLS_SIZE + 2 * sets * WAYS * sizeof(Source);
}

/* Leave the first bits of an address, as many as two numbers say for IPv4 and IPv6. A user of this machine has none to
 * spare. */
static void mask(const uint64_t *kept, unsigned char *address)
{
    uint64_t bits = kept[1];
    if (!memcmp(address, UNIX, PREFIX))
        return;
    if (!memcmp(address, MAPPED, PREFIX))
        bits = 8 * PREFIX + kept[0];
    for (uint64_t at = bits / 8; at < ADDRESS; at++)
        address[at] = at == bits / 8 ? address[at] & (unsigned char)(0xFF00 >> bits % 8) : 0;
}

/* Multilinear over the address' words and the listener, see layout.set_of. */
static uint64_t hash_of(const uint64_t *keys, const unsigned char *address, uint32_t listener)
{
    uint64_t sum = keys[0] + (uint64_t)listener * keys[WORDS + 1];
    for (int at = 0; at < WORDS; at++) {
        uint32_t word;
        memcpy(&word, address + 4 * at, sizeof word);
        sum += be32toh(word) * keys[at + 1];
    }
    return sum >> 32;
}

static Source *set_of(Sources *cells, const unsigned char *address, uint32_t listener)
{
    uint64_t sets = cells[TABLE_SETS];
    uint64_t place = hash_of(cells + FIRST_KEY, address, listener) % sets + (cells[OPEN] % 2 ? 0 : sets);
    return (Source *)((unsigned char *)cells + CELLS_SIZE) + place * WAYS;
}

/* Have a set brought into the processor's cache while the kernel reads: of 4 MiB hardly anything is in it. */
static void prefetch(const Source *set)
{
    for (int way = 0; way < PREFETCHED; way++)
        __builtin_prefetch(set + way, 1);
}

/* The record in a set of a masked address, given the listener's index + 1. One that has none gets a free one, or that of
 * the source with the least count, which it has as its error. */
static Source *source_in(Sources *cells, Source *way, const unsigned char *address, uint32_t listener)
{
    Source *end = way + WAYS, *least = way;
    for (; way < end && way->listener; way++) {
        if (way->listener == listener && !memcmp(way->address, address, ADDRESS))
            return way;
        if (way->connections < least->connections)
            least = way;
    }
    if (way < end) {
        cells[SOURCES]++;
        least = way;
    }
    uint32_t err = way < end ? 0 : least->connections;
    *least = (Source){.listener = listener, .connections = err, .err = err};
    memcpy(least->address, address, ADDRESS);
    return least;
}

static void add32(uint32_t *number, uint64_t more)
{
    *number = more > UINT32_MAX - *number ? UINT32_MAX : *number + (uint32_t)more;
}

/* Count the newlines, eight bytes at a time: of each byte that is one the highest bit is left, and no other. */
static uint32_t lines_in(const unsigned char *data, size_t size)
{
    const uint64_t ones = 0x0101010101010101u, low = 0x7F * ones;
    const unsigned char *end = data + size;
    uint64_t lines = 0;
    for (; end - data >= 8; data += 8) {
        uint64_t word;
        memcpy(&word, data, sizeof word);
        word ^= '\n' * ones;
        lines += ((~(((word & low) + low) | word | low) >> 7) * ones) >> 56;
    }
    for (; data < end; data++)
        lines += *data == '\n';
    return (uint32_t)lines;
}

#endif
