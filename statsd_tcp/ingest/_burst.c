/* The accept lanes' inner loop in C: what lane.py and line_lane.py do with a connection that has sent everything.
 *
 * Optional. Whatever is not the common case is left to the lanes in Python: a connection that is not finished, a read
 * that does not end in a newline, an error of accept(2), a header of the PROXY protocol that is not a client's, or not
 * good, or not whole. The Python interpreter's lock is held all the time; nothing here waits: the sockets must not block.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "kept.h"
#include "limits.h"
#include "proxy_header.h"
#include "run.h"
#include "segments.h"
#include "sources.h"

enum {
    VERSION = 9, /* of what Python calls here; raised with it in native.py */
    MOST_DATAGRAMS = 256,
    UNKNOWN = 1 << 30, /* more than wait in any queue, or are accepted in a run */
    PART = 4 + ADDRESS, /* of a batch of datagrams: where it ends, and where it comes from */
};

static const char CONFIRMATION[] = "ok\n";

/* Leave a connection to Python. With data the run ends: Python has to take them before any others, for the order of
 * gauges, and for the room in the journal. Without data NULL says that nothing was read before either. */
static int leave(Run *run, int connection, const unsigned char *data, Py_ssize_t length)
{
    const unsigned char *origin = run->client.is_known ? run->client.address : NULL;
    run->ended = length > 0;
    if (run->set)
        add32(&source_of(run)->connections, 1);
    return keep(run->unfinished,
                Py_BuildValue("(iy#y#i)", connection, data, length, origin, (Py_ssize_t)ADDRESS, run->is_over));
}

/* Leave a connection of which the header was read. Python reads it again: it asks for the address in it, and counts it
 * for its source. */
static int leave_headed(Run *run, int connection, const unsigned char *data, Py_ssize_t length)
{
    PyObject *all = PyBytes_FromStringAndSize(NULL, run->header_size + length);
    if (all == NULL)
        return -1;
    memcpy(PyBytes_AsString(all), run->header, (size_t)run->header_size);
    if (length)
        memcpy(PyBytes_AsString(all) + run->header_size, data, (size_t)length);
    run->received -= (uint64_t)run->header_size;
    run->ended = length > 0;
    return keep(run->unfinished, Py_BuildValue("(iNOi)", connection, all, Py_None, run->is_over));
}

static int end(Run *run, int connection, Py_ssize_t reason)
{
    /* Counted first: if we die in between, our death closes it. */
    count(run->cells, reason);
    close(connection);
    if (run->set)
        note_connection(run, reason == run->indexes.reset);
    return 0;
}

static int serve(Run *run, int connection)
{
    unsigned char data[LARGEST_READ];
    int reads = 0;
    for (; reads < run->reads && run->head <= run->brim; reads++) {
        ssize_t length = recv(connection, data, (size_t)run->at_once, MSG_DONTWAIT);
        if (length == 0) {
            if (run->confirms)
                send(connection, CONFIRMATION, strlen(CONFIRMATION), MSG_DONTWAIT | MSG_NOSIGNAL);
            return end(run, connection, run->indexes.eof);
        }
        if (length < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                break;
            return end(run, connection, errno == ECONNRESET ? run->indexes.reset : run->indexes.error);
        }
        /* No line begins with a carriage return; the signature of the PROXY protocol does. */
        if (data[length - 1] != '\n' || data[0] == '\r')
            return run->header_size ? leave_headed(run, connection, data, length)
                                    : leave(run, connection, data, length);
        if (take(run, data, (uint32_t)length) < 0)
            return -1;
    }
    if (run->header_size)
        return leave_headed(run, connection, NULL, 0);
    return leave(run, connection, reads ? data : NULL, 0);
}

static int is_trusted(const Run *run, const struct sockaddr_storage *peer)
{
    Client client;
    if (run->networks_size == 0)
        return 1;
    set_client(&client, peer);
    if (!client.is_known)
        return 0;
    for (Py_ssize_t at = 0; at < run->networks_size; at += NETWORK)
        if (holds(run->networks + at, client.address))
            return 1;
    return 0;
}

/* Find out where a client is that says it itself. */
static void meet(Run *run, int connection, const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_UNIX)
        set_client_user(&run->client, connection);
    else
        set_client(&run->client, peer);
    find_set(run);
}

/* Read the header of a connection. It is looked at before it is read, so that all of whatever is not the ordinary case
 * is left to Python. Returns whether the connection is to be served now. */
static int take_header(Run *run, int connection, const struct sockaddr_storage *peer)
{
    static unsigned char header[LONGEST_V2];
    run->header = header;
    run->header_size = 0;
    if (!is_trusted(run, peer))
        return leave(run, connection, NULL, 0);
    ssize_t size = recv(connection, header, sizeof header, MSG_DONTWAIT | MSG_PEEK);
    Py_ssize_t length = size > 0 ? header_length(header, size, run->versions, &run->client) : 0;
    if (length == 0) {
        run->client.is_known = 0;
        return leave(run, connection, NULL, 0);
    }
    if (recv(connection, header, (size_t)length, MSG_DONTWAIT) != length)
        return end(run, connection, run->indexes.reset);
    run->received += (uint64_t)length;
    run->header_size = length;
    find_set(run);
    return 1;
}

/* Close a connection that its source may not have. What it has sent is read, or the kernel would send a reset. */
static void turn_away(Run *run, int connection)
{
    static char bin[LARGEST_READ];
    static const struct linger at_once = {.l_onoff = 1};
    count(run->cells, run->limit->closed);
    if (run->limit->memory.cells[ACTION] == RESET)
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    else
        recv(connection, bin, sizeof bin, MSG_DONTWAIT);
    close(connection);
    if (run->set)
        add32(&source_of(run)->connections, 1);
}

/* Returns whether a connection is to be served, as far as the limits of its source go. */
static int is_within(Run *run, int connection)
{
    Limit *limit = run->limit;
    if (!run->client.is_known)
        return 1;
    if (limit->time == 0)
        limit->time = now();
    if (admits(&limit->memory, &run->client, run->listener + 1, limit->time))
        return 1;
    count(run->cells, limit->all);
    if (run->set)
        add32(&source_of(run)->limited, 1);
    run->is_over = limit->memory.cells[ACTION] == OBSERVE;
    if (run->is_over)
        return 1;
    turn_away(run, connection);
    return 0;
}

/* How many connections wait to be accepted, or UNKNOWN. In a listening socket these two fields are the queue, and its
 * limit. */
static int queue_of(int listener)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || info.tcpi_sacked == 0)
        return UNKNOWN;
    return (int)info.tcpi_unacked;
}

/* Accept, and ask for the client's address only if there is a place for it. Returns the descriptor, or -1 with the
 * error's number in *error. As many as *waiting are known to wait, at first none: accept(2) makes a socket before it
 * looks at the queue, and takes eight times as long as a question to find out that there is nothing in it. */
static int accept_one(int listener, int *waiting, struct sockaddr_storage *peer, int *error)
{
    int connection;
    if (*waiting == 0 && (*waiting = queue_of(listener)) == 0) {
        *error = EAGAIN;
        return -1;
    }
    --*waiting;
    do {
        socklen_t size = sizeof *peer;
        connection = accept4(listener, (struct sockaddr *)peer, peer ? &size : NULL, SOCK_CLOEXEC);
    } while (connection < 0 && errno == EINTR);
    *error = connection < 0 ? errno : 0;
    return connection;
}

static int sizes_fit(const Run *run, int budget)
{
    if (run->sources && (budget > MOST_READS || run->reads > MOST_READS || budget * run->reads > MOST_READS)) {
        PyErr_SetString(PyExc_ValueError, "too many reads at once for the sources");
        return 0;
    }
    if (0 < run->at_once && run->at_once <= LARGEST_READ && run->size >= LARGEST_READ + FRAME_HEAD &&
        run->brim <= run->head + run->size)
        return 1;
    PyErr_SetString(PyExc_ValueError, "too much for one read, or too little room for it");
    return 0;
}

static int cells_reach(const Py_buffer *cells, const Py_ssize_t *indexes, size_t number)
{
    for (size_t at = 0; at < number; at++)
        if (indexes[at] < 0 || indexes[at] >= cells->len / (Py_ssize_t)sizeof(uint64_t)) {
            PyErr_SetString(PyExc_IndexError, "no such cell");
            return 0;
        }
    return 1;
}

/* Get the memory of sources from Python, or none for None. Returns whether that could be done; to be released. */
static int get_sources(PyObject *memory, Py_buffer *buffer)
{
    *buffer = (Py_buffer){0};
    if (memory == Py_None)
        return 1;
    if (PyObject_GetBuffer(memory, buffer, PyBUF_WRITABLE) < 0)
        return 0;
    if (sources_fit(buffer->buf, (size_t)buffer->len))
        return 1;
    PyBuffer_Release(buffer);
    PyErr_SetString(PyExc_ValueError, "no memory of sources");
    return 0;
}

/* Get the limits from Python: their memory, this worker's column, and two cells; or none for None. As `get_sources`. */
static int get_limit(PyObject *given, Limit *limit, const Py_buffer *cells)
{
    PyObject *memory;
    unsigned long long column;
    limit->buffer = (Py_buffer){0};
    if (given == Py_None)
        return 1;
    if (!PyArg_ParseTuple(given, "OKnn:limits", &memory, &column, &limit->closed, &limit->all) ||
        !cells_reach(cells, (Py_ssize_t[]){limit->closed, limit->all}, 2) ||
        PyObject_GetBuffer(memory, &limit->buffer, PyBUF_WRITABLE) < 0)
        return 0;
    limit->memory = (Limits){limit->buffer.buf, column};
    if (limits_fit(&limit->memory, (size_t)limit->buffer.len))
        return 1;
    PyBuffer_Release(&limit->buffer);
    PyErr_SetString(PyExc_ValueError, "no memory of limits");
    return 0;
}

static PyObject *accept_run(Run *run, int listener, int budget)
{
    int taken = 0, error = 0, waiting = 0;
    struct sockaddr_storage peer, *place = run->versions || run->sources || run->limit ? &peer : NULL;
    while (taken < budget && run->head <= run->brim && !run->ended) {
        int connection = accept_one(listener, &waiting, place, &error);
        if (connection < 0)
            break;
        count(run->cells, run->indexes.accepted);
        taken++;
        int ready = 1;
        run->set = NULL;
        run->client.is_known = run->is_over = 0;
        if (run->versions)
            ready = take_header(run, connection, place);
        else if (place)
            meet(run, connection, place);
        if (ready > 0 && run->limit && !is_within(run, connection))
            continue;
        if (ready < 0 || (ready && serve(run, connection) < 0))
            return NULL;
    }
    return Py_BuildValue("(iiOOKKOy#)", taken, error, run->chunks, run->gauges, (unsigned long long)run->received,
                         (unsigned long long)run->tick, run->unfinished, run->origins, run->origins_size);
}

static PyObject *lines(PyObject *module, PyObject *args)
{
    int listener, budget;
    unsigned int index;
    unsigned long long brim, tick;
    static unsigned char origins[MOST_READS * ADDRESS];
    PyObject *memory = Py_None, *limited = Py_None;
    Py_buffer cells, ring, sources;
    Limit limit = {0};
    Run run = {.origins = origins};
    Indexes *indexes = &run.indexes;
    if (!PyArg_ParseTuple(args, "iiinw*(nnnnn)w*IKK|OOiy#i:lines", &listener, &budget, &run.reads, &run.at_once, &cells,
                          &indexes->accepted, &indexes->eof, &indexes->reset, &indexes->error, &indexes->journal_head, &ring,
                          &index, &brim, &tick, &memory, &limited, &run.versions, &run.networks, &run.networks_size,
                          &run.confirms))
        return NULL;
    PyObject *result = NULL;
    int good = get_sources(memory, &sources) && get_limit(limited, &limit, &cells);
    run.sources = sources.buf;
    run.limit = limit.buffer.buf ? &limit : NULL;
    run.cells = cells.buf;
    run.ring = ring.buf;
    run.size = (uint64_t)ring.len;
    run.listener = index;
    run.brim = brim;
    run.tick = tick;
    run.chunks = PyList_New(0);
    run.gauges = PyList_New(0);
    run.unfinished = PyList_New(0);
    if (good && run.chunks && run.gauges && run.unfinished &&
        cells_reach(&cells, (const Py_ssize_t *)indexes, sizeof *indexes / sizeof(Py_ssize_t))) {
        run.head = run.cells[indexes->journal_head];
        if (sizes_fit(&run, budget))
            result = accept_run(&run, listener, budget);
    }
    Py_XDECREF(run.chunks);
    Py_XDECREF(run.gauges);
    Py_XDECREF(run.unfinished);
    PyBuffer_Release(&cells);
    PyBuffer_Release(&ring);
    PyBuffer_Release(&sources);
    PyBuffer_Release(&limit.buffer);
    return result;
}

/* Read of connections that stay, up to a budget, as far as they are for C to read. With a budget of 0 it goes on with
 * those that the last call has left. */
static PyObject *kept(PyObject *module, PyObject *args)
{
    int epoll, budget, ready = 0;
    unsigned long long brim, tick;
    static unsigned char origins[MOST_EVENTS * ADDRESS];
    static Found found;
    PyObject *memory = Py_None;
    Py_buffer cells, ring, table, sources;
    Run run = {.origins = origins, .reads = 1, .at_once = LARGEST_READ};
    Py_ssize_t *head = &run.indexes.journal_head;
    if (!PyArg_ParseTuple(args, "iiw*nw*KKy*|O:kept", &epoll, &budget, &cells, head, &ring, &brim, &tick, &table, &memory))
        return NULL;
    PyObject *result = NULL;
    int good = get_sources(memory, &sources) && cells_reach(&cells, head, 1);
    run.sources = sources.buf;
    run.cells = cells.buf;
    run.ring = ring.buf;
    run.size = (uint64_t)ring.len;
    run.brim = brim;
    run.tick = tick;
    run.chunks = PyList_New(0);
    run.gauges = PyList_New(0);
    run.unfinished = PyList_New(0);
    found.number = 0;
    if (good && run.chunks && run.gauges && run.unfinished) {
        run.head = run.cells[*head];
        if (0 <= budget && budget <= MOST_EVENTS && sizes_fit(&run, budget) &&
            (budget == 0 || (ready = find_ready(epoll, budget, &found)) >= 0) &&
            kept_run(&run, table.buf, table.len / (Py_ssize_t)sizeof(Kept), &found) == 0)
            result = Py_BuildValue("(iiIOOKKOy#y#)", ready, found.left, run.listener, run.chunks, run.gauges,
                                   (unsigned long long)run.received, (unsigned long long)run.tick, run.unfinished,
                                   run.origins, run.origins_size, found.served,
                                   (Py_ssize_t)sizeof(Served) * found.number);
    }
    if (result == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "too many connections at once");
    Py_XDECREF(run.chunks);
    Py_XDECREF(run.gauges);
    Py_XDECREF(run.unfinished);
    PyBuffer_Release(&cells);
    PyBuffer_Release(&ring);
    PyBuffer_Release(&table);
    PyBuffer_Release(&sources);
    return result;
}

static PyObject *bare(PyObject *module, PyObject *args)
{
    int taken = 0, error = 0, waiting = 0, listener, budget;
    unsigned int index = 0;
    PyObject *memory = Py_None, *limited = Py_None;
    Py_buffer cells, sources = {0};
    Limit limit = {0};
    Py_ssize_t indexes[3]; /* accepted, counted, reset */
    static char bin[LARGEST_READ];
    if (!PyArg_ParseTuple(args, "iiw*(nnn)|OIO:bare", &listener, &budget, &cells, &indexes[0], &indexes[1], &indexes[2],
                          &memory, &index, &limited))
        return NULL;
    int good =
        cells_reach(&cells, indexes, 3) && get_sources(memory, &sources) && get_limit(limited, &limit, &cells);
    Run run = {.cells = cells.buf, .listener = index, .sources = sources.buf};
    run.limit = limit.buffer.buf ? &limit : NULL;
    struct sockaddr_storage peer, *place = run.sources || run.limit ? &peer : NULL;
    while (good && taken < budget) {
        int connection = accept_one(listener, &waiting, place, &error);
        if (connection < 0)
            break;
        count(cells.buf, indexes[0]);
        taken++;
        run.set = NULL;
        if (place)
            meet(&run, connection, place);
        if (run.limit && !is_within(&run, connection))
            continue;
        /* Read once: closing with unread data would send a reset. */
        int broken = recv(connection, bin, sizeof bin, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
        count(cells.buf, indexes[broken ? 2 : 1]);
        close(connection);
        if (run.set)
            note_connection(&run, broken);
    }
    PyBuffer_Release(&cells);
    PyBuffer_Release(&sources);
    PyBuffer_Release(&limit.buffer);
    return good ? Py_BuildValue("(ii)", taken, error) : NULL;
}

/* Add to what is known of a source: what is told outside of the loops above. */
static PyObject *add_source(PyObject *module, PyObject *args)
{
    PyObject *memory;
    Py_buffer sources;
    Run run = {0};
    const unsigned char *address;
    Py_ssize_t size;
    unsigned int connections, lines = 0, bad = 0, resets = 0, evicted = 0, limited = 0;
    unsigned long long bytes = 0;
    if (!PyArg_ParseTuple(args, "Oy#II|IKIIII:add_source", &memory, &address, &size, &run.listener, &connections, &lines, &bytes,
                          &bad, &resets, &evicted, &limited))
        return NULL;
    if (size != ADDRESS || memory == Py_None) {
        PyErr_SetString(PyExc_ValueError, "no address, or no memory of sources");
        return NULL;
    }
    if (!get_sources(memory, &sources))
        return NULL;
    memcpy(run.client.address, address, ADDRESS);
    run.client.is_known = 1;
    run.sources = sources.buf;
    find_set(&run);
    Source *source = source_of(&run);
    add32(&source->connections, connections);
    add32(&source->lines, lines);
    source->bytes += bytes;
    add32(&source->bad, bad);
    add32(&source->resets, resets);
    add32(&source->evicted, evicted);
    add32(&source->limited, limited);
    PyBuffer_Release(&sources);
    Py_RETURN_NONE;
}

/* Take a connection from a source's rate, with a time of one's own: whether there was room for it. */
static PyObject *take_from_rate(PyObject *module, PyObject *args)
{
    Py_buffer buffer;
    Client client = {1};
    const unsigned char *address;
    Py_ssize_t size;
    unsigned int listener;
    unsigned long long column, time;
    if (!PyArg_ParseTuple(args, "w*Ky#IK:admits", &buffer, &column, &address, &size, &listener, &time))
        return NULL;
    Limits limits = {buffer.buf, column};
    int good = size == ADDRESS && limits_fit(&limits, (size_t)buffer.len), within = 0;
    if (good) {
        memcpy(client.address, address, ADDRESS);
        within = admits(&limits, &client, listener + 1, time);
    }
    PyBuffer_Release(&buffer);
    if (good)
        return PyBool_FromLong(within);
    PyErr_SetString(PyExc_ValueError, "no address, or no memory of limits");
    return NULL;
}

/* What proxy_header.py says of a client's good header, for tests: its length, 0 for all else, and the client's address. */
static PyObject *header(PyObject *module, PyObject *args)
{
    const unsigned char *data;
    Py_ssize_t size;
    int versions;
    Client client;
    if (!PyArg_ParseTuple(args, "y#i:header", &data, &size, &versions))
        return NULL;
    Py_ssize_t length = header_length(data, size, versions, &client);
    return Py_BuildValue("(ny#)", length, client.is_known ? client.address : NULL, (Py_ssize_t)ADDRESS);
}

/* What datagrams of one client have brought, whose lines lie between two places in the buffer. */
static unsigned char *note_datagrams(Run *run, int number, const unsigned char *lines, size_t size, Py_ssize_t received,
                                     size_t end, unsigned char *part)
{
    uint32_t place = (uint32_t)end;
    memset(part, 0, PART);
    memcpy(part, &place, sizeof place);
    if (run->set) {
        Source *source = source_of(run);
        memcpy(part + sizeof place, run->client.address, ADDRESS);
        add32(&source->connections, (uint64_t)number);
        add32(&source->lines, lines_in(lines, size));
        source->bytes += (uint64_t)received;
    }
    return part + PART;
}

/* Read a datagram, and ask where it comes from only if there is a place for it. */
static Py_ssize_t receive_one(int port, void *data, size_t largest, struct sockaddr_storage *peer)
{
    socklen_t size = sizeof *peer;
    if (peer)
        peer->ss_family = AF_UNSPEC;
    return recvfrom(port, data, largest, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)peer, peer ? &size : NULL);
}

/* Read datagrams into a buffer, one after the other, each with the newline that it may lack, up to a number of them or
 * of bytes. A datagram that is larger than may be read at once ends the run, cut off: Python finds its whole lines. */
static PyObject *datagrams(PyObject *module, PyObject *args)
{
    PyObject *port, *memory = Py_None;
    int most, count = 0, error = 0;
    unsigned int index = 0;
    Py_ssize_t batch, largest, end = 0, received = 0, size = 0;
    Py_buffer buffer, sources;
    static unsigned char parts[MOST_DATAGRAMS * PART];
    unsigned char *part = parts;
    if (!PyArg_ParseTuple(args, "Oiw*nn|OI:datagrams", &port, &most, &buffer, &batch, &largest, &memory, &index))
        return NULL;
    int descriptor = PyObject_AsFileDescriptor(port);
    if (descriptor < 0 || !get_sources(memory, &sources)) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    Run run = {.listener = index, .sources = sources.buf};
    struct sockaddr_storage peer, *place = run.sources ? &peer : NULL;
    int good = batch >= 0 && largest > 0 && largest < buffer.len && batch < buffer.len - largest &&
               (!run.sources || most <= MOST_DATAGRAMS);
    unsigned char *data = buffer.buf;
    while (good && count < most && end < batch && size <= largest) {
        Py_ssize_t start = end;
        size = receive_one(descriptor, data + end, (size_t)largest, place);
        if (size < 0) {
            error = errno;
            break;
        }
        count++;
        if (size > largest)
            break;
        received += size;
        end += size;
        if (size && data[end - 1] != '\n')
            data[end++] = '\n';
        if (place) {
            run.set = NULL;
            set_client(&run.client, place);
            find_set(&run);
            part = note_datagrams(&run, 1, data + start, (size_t)(end - start), size, (size_t)end, part);
        }
    }
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&sources);
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "the buffer is smaller than a batch and one more datagram, or they are too many");
        return NULL;
    }
    return Py_BuildValue("(inniiy#)", count, end, received, size > largest, error, parts, (Py_ssize_t)(part - parts));
}

/* The same of a socket of UDP that may give several datagrams at once, and from which nothing is cut off. The buffer says
 * how much may be read: twice the largest is free for each piece that the kernel is asked for. More datagrams than asked
 * for may come with the last one. */
static PyObject *segments(PyObject *module, PyObject *args)
{
    PyObject *port, *memory = Py_None;
    int most, count = 0, error = 0, got = 0, asked = 0;
    unsigned int index = 0;
    Py_ssize_t batch, largest, end = 0, received = 0;
    Py_buffer buffer, sources;
    static unsigned char parts[MOST_DATAGRAMS * PART];
    unsigned char *part = parts;
    if (!PyArg_ParseTuple(args, "Oiw*nn|OI:segments", &port, &most, &buffer, &batch, &largest, &memory, &index))
        return NULL;
    int descriptor = PyObject_AsFileDescriptor(port);
    if (descriptor < 0 || !get_sources(memory, &sources)) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    Run run = {.listener = index, .sources = sources.buf};
    int good = largest == LARGEST_PIECE && buffer.len >= 2 * largest && (!run.sources || most <= MOST_DATAGRAMS);
    unsigned char *data = buffer.buf;
    while (good && got == asked && count < most && end < batch && buffer.len - end >= 2 * largest) {
        Py_ssize_t room = (buffer.len - end) / (2 * largest);
        asked = most - count < PIECES ? most - count : PIECES;
        asked = room < asked ? (int)room : asked;
        got = receive_pieces(descriptor, asked, run.sources != NULL);
        error = got < 0 ? errno : got < asked ? EAGAIN : 0;
        for (int at = 0; at < got; at++) {
            Py_ssize_t start = end, size = pieces.messages[at].msg_len;
            int before = count;
            end += (Py_ssize_t)put_datagrams(data + start, at, &count);
            received += size;
            if (run.sources) {
                run.set = NULL;
                set_client(&run.client, &pieces.peers[at]);
                find_set(&run);
                part = note_datagrams(&run, count - before, data + start, (size_t)(end - start), size, (size_t)end, part);
            }
        }
    }
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&sources);
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "the buffer has no room for a piece, or they are too many");
        return NULL;
    }
    return Py_BuildValue("(inniiy#)", count, end, received, 0, error, parts, (Py_ssize_t)(part - parts));
}

static PyMethodDef methods[] = {
    {"lines", lines, METH_VARARGS,
     "Accept up to a budget on a port of lines: (accepted, errno, chunks, gauges, received, tick, unfinished, origins)."},
    {"header", header, METH_VARARGS,
     "Return the length of a client's header of the PROXY protocol, 0 if it is not whole or not good, and its address."},
    {"kept", kept, METH_VARARGS,
     "Read of connections that stay: (ready, left, listener, chunks, gauges, received, tick, left, origins, served)."},
    {"bare", bare, METH_VARARGS, "Accept, count and close up to a budget: (accepted, errno)."},
    {"datagrams", datagrams, METH_VARARGS,
     "Read datagrams into a buffer: (datagrams, end, bytes received, whether one was cut off there, errno, parts)."},
    {"segments", segments, METH_VARARGS,
     "Do what datagrams does, of a socket of UDP that may give several datagrams at once."},
    {"add_source", add_source, METH_VARARGS, "Add to what is known of a source."},
    {"admits", take_from_rate, METH_VARARGS, "Take a connection from a source's rate, if there is room for it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_burst", "The accept lanes' inner loop.", 0, methods,
                                        NULL,                  NULL,     NULL,                            NULL};

PyMODINIT_FUNC PyInit__burst(void)
{
    PyObject *module = PyModule_Create(&definition);
    prepare_checksums();
    if (module != NULL && PyModule_AddIntConstant(module, "VERSION", VERSION) < 0)
        Py_CLEAR(module);
    return module;
}
