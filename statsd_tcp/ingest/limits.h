/* Whether a connection is within its source's rate: what who/limits.py does, in C. The numbers are those of
 * who/limit_memory.py. */

#ifndef STATSD_TCP_LIMITS_H
#define STATSD_TCP_LIMITS_H

#include <stdint.h>
#include <string.h>

#include "client.h"
#include "sources.h"

enum {
    LIMITS_HEAD = 4096,
    COLUMN_SETS = 1, /* cells */
    COLUMNS = 2,
    ACTIVE = 3,
    ACTION = 4,
    INTERVAL = 5,
    ROOM = 6,
    LIMIT_BITS = 8, /* of IPv4, then of IPv6 */
    LIMIT_KEYS = 10,
    EXEMPT = 17,
    NETWORKS = 512, /* in bytes */
    MOST_EXEMPT = (LIMITS_HEAD - NETWORKS) / NETWORK,
    OBSERVE = 0, /* actions */
    CLOSE = 1,
    RESET = 2,
};

/* A record. It is free while its listener is 0. */
typedef struct {
    unsigned char address[ADDRESS];
    uint32_t listener, open;
    uint64_t admitted, seen, used, at, spare;
} Bucket;

/* The memory, and this worker's column; NULL where nothing is limited. */
typedef struct {
    uint64_t *cells;
    uint64_t column;
} Limits;

static int limits_fit(const Limits *limits, size_t size)
{
    const uint64_t *cells = limits->cells;
    if (size < LIMITS_HEAD)
        return 0;
    uint64_t sets = cells[COLUMN_SETS], columns = cells[COLUMNS];
    return 0 < sets && sets <= size && columns <= size && limits->column < columns && cells[ACTIVE] <= columns &&
           cells[EXEMPT] <= MOST_EXEMPT && size == LIMITS_HEAD + columns * sets * WAYS * sizeof(Bucket);
}

static int is_exempt(const Limits *limits, const unsigned char *address)
{
    const unsigned char *networks = (const unsigned char *)limits->cells + NETWORKS;
    for (uint64_t at = 0; at < limits->cells[EXEMPT]; at++)
        if (holds(networks + at * NETWORK, address))
            return 1;
    return 0;
}

static Bucket *bucket_set(const Limits *limits, uint64_t column, uint64_t place)
{
    return (Bucket *)((unsigned char *)limits->cells + LIMITS_HEAD) + (column * limits->cells[COLUMN_SETS] + place) * WAYS;
}

static Bucket *bucket_in(Bucket *set, const unsigned char *address, uint32_t listener)
{
    for (Bucket *way = set; way < set + WAYS; way++)
        if (way->listener == listener && !memcmp(way->address, address, ADDRESS))
            return way;
    return NULL;
}

/* This worker's record of a source: that of the one not heard of for longest goes. NULL if all of them have open
 * connections. */
static Bucket *own_bucket(Bucket *set, const unsigned char *address, uint32_t listener)
{
    Bucket *found = bucket_in(set, address, listener), *oldest = NULL;
    if (found)
        return found;
    for (Bucket *way = set; way < set + WAYS; way++)
        if (!way->open && (oldest == NULL || way->at < oldest->at))
            oldest = way;
    if (oldest == NULL)
        return NULL;
    *oldest = (Bucket){.listener = listener};
    memcpy(oldest->address, address, ADDRESS);
    return oldest;
}

/* Take one connection from the rate of a client's source; returns whether there was room for it. */
static int admits(const Limits *limits, const Client *client, uint32_t listener, uint64_t now)
{
    const uint64_t *cells = limits->cells;
    uint64_t interval = cells[INTERVAL], total = 0;
    if (interval == 0)
        return 1;
    unsigned char address[ADDRESS];
    memcpy(address, client->address, ADDRESS);
    mask(cells + LIMIT_BITS, address);
    if (is_exempt(limits, address))
        return 1;
    uint64_t place = hash_of(cells + LIMIT_KEYS, address, listener) % cells[COLUMN_SETS];
    Bucket *own = own_bucket(bucket_set(limits, limits->column, place), address, listener);
    const Bucket *latest = own;
    if (own == NULL)
        return 1;
    for (uint64_t column = 0; column < cells[ACTIVE]; column++) {
        const Bucket *other =
            column == limits->column ? own : bucket_in(bucket_set(limits, column, place), address, listener);
        if (other == NULL)
            continue;
        total += other->admitted;
        if (other->at > latest->at)
            latest = other;
    }
    __int128 used = 0;
    if (latest->at) {
        uint64_t since = total > latest->seen ? total - latest->seen : 0;
        used = (__int128)latest->used + (__int128)since * interval - ((__int128)now - latest->at);
        if (used < 0)
            used = 0;
    }
    int within = used + interval <= cells[ROOM];
    if (within)
        used += interval;
    own->admitted += (uint64_t)within;
    own->seen = total + (uint64_t)within;
    own->used = used > UINT64_MAX ? UINT64_MAX : (uint64_t)used;
    own->at = now;
    return within;
}

#endif
