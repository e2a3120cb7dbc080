/* Connections that stay, as an epoll finds them. From those that are between two lines is read here. If what was read ends
 * a line, it is taken; everything else is left to Python. */

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

/* What is known of a descriptor. ``place`` is the index of its listener plus one, or 0 if only Python may read from it. An
 * origin of zeros is that of a client that is not known. */
typedef struct {
    uint32_t place;
    unsigned char origin[ADDRESS];
} Kept;

/* How many bytes were read from a descriptor. */
typedef struct {
    int32_t descriptor, size;
} Served;

/* The events that no run has dealt with yet, ``left`` of them, and what the last run has read. */
typedef struct {
    struct epoll_event events[MOST_EVENTS];
    Served served[MOST_EVENTS];
    int left, number;
} Found;

/* Leave a connection to Python. With data, which were read, the run ends: see `leave`. An error is that of the read, which
 * has taken it from the socket. */
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

/* Have an epoll say which are ready. Returns their number, or -1 after an error. */
static int find_ready(int epoll, int budget, Found *found)
{
    found->left = 0;
    int all = epoll_wait(epoll, found->events, budget, 0);
    if (all < 0 && errno != EINTR) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return found->left = all < 0 ? 0 : all;
}

/* Read of those of the same listener as the first one. All others stay for the next run: the epoll would name them last
 * again. A descriptor that is another one by then is not in the table, or has nothing to read. Returns -1 after an
 * error. */
static int kept_run(Run *run, const Kept *table, Py_ssize_t size, Found *found)
{
    uint32_t place = 0;
    int at = 0, left = 0;
    for (; at < found->left && !run->ended && run->head <= run->brim; at++) {
        const struct epoll_event event = found->events[at];
        int connection = event.data.fd, failed;
        if (connection >= size || event.events != EPOLLIN || table[connection].place == 0)
            failed = leave_kept(run, connection, NULL, 0, 0);
        else if (place == 0 || table[connection].place == place) {
            place = table[connection].place;
            run->listener = place - 1;
            failed = serve_kept(run, table + connection, found, connection);
        } else {
            found->events[left++] = event;
            continue;
        }
        if (failed < 0)
            return -1;
    }
    while (at < found->left)
        found->events[left++] = found->events[at++];
    found->left = left;
    return 0;
}

#endif
