/* Connections that stay, as an epoll finds them: those that are between two lines are read here if what has come ends a
 * line. All others are left to Python. */

#ifndef STATSD_TCP_KEPT_H
#define STATSD_TCP_KEPT_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client.h"
#include "run.h"

enum { MOST_EVENTS = 256 };

/* What is known of a descriptor. ``place`` is one more than the index of its listener, 0: it is Python's to read. All
 * zeros are a client that is not known. */
typedef struct {
    uint32_t place;
    unsigned char origin[ADDRESS];
} Kept;

/* What one run has found: descriptors, with how many bytes were read of each. */
typedef struct {
    int32_t descriptor, size;
} Served;

typedef struct {
    struct epoll_event events[MOST_EVENTS];
    Served served[MOST_EVENTS];
    int found, number, is_more;
} Found;

/* Leave a connection to Python. With data the run ends, see `leave`; an error is one that was read. */
static int leave_kept(Run *run, int connection, const unsigned char *data, Py_ssize_t length, int error)
{
    run->ended = data != NULL;
    return keep(run->unfinished, Py_BuildValue("(iy#i)", connection, data, length, error));
}

static int serve_kept(Run *run, const Kept *kept, Found *found, int connection)
{
    static unsigned char data[LARGEST_READ];
    static const unsigned char UNKNOWN[ADDRESS];
    ssize_t length = recv(connection, data, sizeof data, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (length <= 0)
        return leave_kept(run, connection, NULL, 0, length < 0 ? errno : 0);
    if (data[length - 1] != '\n')
        return leave_kept(run, connection, data, length, 0);
    run->set = NULL;
    run->client.is_known = memcmp(kept->origin, UNKNOWN, ADDRESS) != 0;
    memcpy(run->client.address, kept->origin, ADDRESS);
    find_set(run);
    found->served[found->number++] = (Served){connection, (int32_t)length};
    return take(run, data, (uint32_t)length);
}

/* Read of those that are ready, and belong to the same listener as the first one. Returns -1 after an error. */
static int kept_run(Run *run, int epoll, int budget, const Kept *table, Py_ssize_t size, Found *found)
{
    uint32_t place = 0;
    int all = epoll_wait(epoll, found->events, budget, 0);
    if (all < 0 && errno != EINTR) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    for (; found->found < all && !run->ended && run->head <= run->brim; found->found++) {
        const struct epoll_event *event = &found->events[found->found];
        int connection = event->data.fd, failed;
        const Kept *kept = table + connection;
        if (connection >= size || event->events != EPOLLIN || kept->place == 0)
            failed = leave_kept(run, connection, NULL, 0, 0);
        else if (place == 0 || kept->place == place) {
            place = kept->place;
            run->listener = place - 1;
            failed = serve_kept(run, kept, found, connection);
        } else {
            found->is_more = 1;
            continue;
        }
        if (failed < 0)
            return -1;
    }
    found->is_more |= run->ended;
    return 0;
}

#endif
