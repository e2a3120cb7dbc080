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

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"

enum {
    LARGEST_READ = 65536, /* bytes read at once, at most */
    FRAME_HEAD = 32, /* of the journal, see ledger/journal.py */
    CHECKED_HEAD = 28,
    VERSION = 4, /* of what Python calls here; raised with it in native.py */
    ALIGNMENT = 8,
    V1 = 1, /* versions of the PROXY protocol, as a set; the lengths are those of proxy_header.py */
    V2 = 2,
    LONGEST_V1 = 107,
    LONGEST_V2 = 4096,
    HEAD_V2 = 16,
    HEAD_TLV = 3,
    CRC32C = 3, /* the type of a TLV */
    NETWORK = 17, /* bytes of one: an address, and how many of its bits count */
};

static const unsigned char SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char CONFIRMATION[] = "ok\n";

/* Where in the ledger's cells a listener's counts are, and the journal's head. */
typedef struct {
    Py_ssize_t accepted, eof, reset, error, journal_head;
} Indexes;

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
} Run;

/* Is this the CRC32c of a header whose checksum at that place is taken for zeros? */
static int crc32c_fits(const unsigned char *header, Py_ssize_t size, Py_ssize_t place)
{
    static const unsigned char zeros[sizeof(uint32_t)];
    Py_ssize_t after = place + (Py_ssize_t)sizeof zeros;
    uint32_t given, crc = crc_of(crc32c_tables, ~0u, header, (size_t)place);
    crc = crc_of(crc32c_tables, crc, zeros, sizeof zeros);
    crc = crc_of(crc32c_tables, crc, header + after, (size_t)(size - after));
    memcpy(&given, header + place, sizeof given);
    return be32toh(given) == ~crc;
}

static int tlvs_fit(const unsigned char *header, Py_ssize_t size, Py_ssize_t at)
{
    while (at < size) {
        if (size - at < HEAD_TLV)
            return 0;
        Py_ssize_t length = header[at + 1] << 8 | header[at + 2], value = at + HEAD_TLV;
        if (length > size - value)
            return 0;
        if (header[at] == CRC32C && (length != sizeof(uint32_t) || !crc32c_fits(header, size, value)))
            return 0;
        at = value + length;
    }
    return 1;
}

/*  | signature: 12 | version, command | family, protocol | length: 2 | addresses | type, length: 2, value | ... */
static Py_ssize_t header_v2(const unsigned char *data, Py_ssize_t size)
{
    static const Py_ssize_t addresses[] = {0, 12, 36, 216}; /* unspecified, IPv4, IPv6, Unix */
    if (size < HEAD_V2 || data[12] != (2 << 4 | 1) || data[13] >> 4 > 3 || (data[13] & 15) > 2)
        return 0;
    Py_ssize_t length = HEAD_V2 + (data[14] << 8 | data[15]), rest = HEAD_V2 + addresses[data[13] >> 4];
    if (length > size || length > LONGEST_V2 || length < rest)
        return 0;
    return rest == HEAD_V2 || tlvs_fit(data, length, rest) ? length : 0;
}

static int is_port(const char *text)
{
    size_t length = strlen(text);
    unsigned int number = 0;
    for (size_t at = 0; at < length; at++) {
        if (text[at] < '0' || text[at] > '9')
            return 0;
        number = 10 * number + (unsigned int)(text[at] - '0');
    }
    return 0 < length && length <= 5 && number <= 65535;
}

/*  PROXY TCP4 ADDRESS ADDRESS PORT PORT\r\n */
static Py_ssize_t header_v1(const unsigned char *data, Py_ssize_t size)
{
    const unsigned char *newline = memchr(data, '\n', (size_t)(size < LONGEST_V1 ? size : LONGEST_V1));
    char line[LONGEST_V1], *fields[7], *rest = line;
    unsigned char address[sizeof(struct in6_addr)];
    int number = 0;
    if (newline == NULL || newline == data || newline[-1] != '\r')
        return 0;
    memcpy(line, data, (size_t)(newline - 1 - data));
    line[newline - 1 - data] = 0;
    if (memchr(line, 0, (size_t)(newline - 1 - data)))
        return 0;
    while (rest != NULL && number < 7)
        fields[number++] = strsep(&rest, " ");
    if (number != 6 || rest != NULL || strcmp(fields[0], "PROXY"))
        return 0;
    int family = strcmp(fields[1], "TCP4") ? strcmp(fields[1], "TCP6") ? AF_UNSPEC : AF_INET6 : AF_INET;
    if (family == AF_UNSPEC || inet_pton(family, fields[2], address) != 1 || inet_pton(family, fields[3], address) != 1)
        return 0;
    return is_port(fields[4]) && is_port(fields[5]) ? newline + 1 - data : 0;
}

/* How long the header is that a client's data begin with, if it is whole and good; else 0, and Python judges. */
static Py_ssize_t header_length(const unsigned char *data, Py_ssize_t size, int versions)
{
    if (size >= (Py_ssize_t)sizeof SIGNATURE && !memcmp(data, SIGNATURE, sizeof SIGNATURE))
        return versions & V2 ? header_v2(data, size) : 0;
    return versions & V1 ? header_v1(data, size) : 0;
}

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

/* Complete lines: into the journal first, then onto the list of what is to be told to the tally. */
static int take(Run *run, const unsigned char *lines, uint32_t length)
{
    /* What happens to a gauge has an order over all workers, see Intake.take; for the marks, wire/samples.py. */
    int gauge = memmem(lines, length, "|g", 2) != NULL ||
                (memchr(lines, ' ', length) != NULL && memmem(lines, length, "| ", 2) != NULL);
    if (gauge)
        run->tick = now();
    append(run, lines, length);
    run->received += length;
    if (gauge)
        return keep(run->gauges, Py_BuildValue("(Ky#n)", (unsigned long long)run->tick, lines, (Py_ssize_t)length,
                                               PyList_Size(run->chunks)));
    return keep(run->chunks, PyBytes_FromStringAndSize((const char *)lines, length));
}

/* Leave a connection to Python. With data the run ends: Python has to take them before any others, for the order of
 * gauges, and for the room in the journal. Without data NULL says that nothing was read before either. */
static int leave(Run *run, int connection, const unsigned char *data, Py_ssize_t length)
{
    run->ended = length > 0;
    return keep(run->unfinished, Py_BuildValue("(iy#)", connection, data, length));
}

/* Leave a connection of which the header was read. Python reads it again: it asks for the address in it. */
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
    return keep(run->unfinished, Py_BuildValue("(iN)", connection, all));
}

static int end(Run *run, int connection, Py_ssize_t reason)
{
    /* Counted first: if we die in between, our death closes it. */
    count(run->cells, reason);
    close(connection);
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

/* An IPv4 address as the IPv6 address that stands for it. */
static int address_of(const struct sockaddr_storage *peer, unsigned char *address)
{
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (peer->ss_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)peer)->sin6_addr, sizeof(struct in6_addr));
        return 1;
    }
    memcpy(address, mapped, sizeof mapped);
    memcpy(address + sizeof mapped, &((const struct sockaddr_in *)peer)->sin_addr, sizeof(struct in_addr));
    return peer->ss_family == AF_INET;
}

static int is_trusted(const Run *run, const struct sockaddr_storage *peer)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (run->networks_size == 0)
        return 1;
    if (!address_of(peer, address))
        return 0;
    for (Py_ssize_t at = 0; at < run->networks_size; at += NETWORK) {
        const unsigned char *network = run->networks + at;
        int bits = network[NETWORK - 1], whole = bits / 8;
        unsigned char mask = (unsigned char)(0xFF00 >> bits % 8);
        if (!memcmp(address, network, (size_t)whole) && (whole == 16 || !((address[whole] ^ network[whole]) & mask)))
            return 1;
    }
    return 0;
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
    Py_ssize_t length = size > 0 ? header_length(header, size, run->versions) : 0;
    if (length == 0)
        return leave(run, connection, NULL, 0);
    if (recv(connection, header, (size_t)length, MSG_DONTWAIT) != length)
        return end(run, connection, run->indexes.reset);
    run->received += (uint64_t)length;
    run->header_size = length;
    return 1;
}

/* Accept, and ask for the client's address only if there is a place for it. Returns the descriptor, or -1 with the
 * error's number in *error. */
static int accept_one(int listener, struct sockaddr_storage *peer, int *error)
{
    int connection;
    do {
        socklen_t size = sizeof *peer;
        connection = accept4(listener, (struct sockaddr *)peer, peer ? &size : NULL, SOCK_CLOEXEC);
    } while (connection < 0 && errno == EINTR);
    *error = connection < 0 ? errno : 0;
    return connection;
}

static int sizes_fit(const Run *run)
{
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

static PyObject *accept_run(Run *run, int listener, int budget)
{
    int taken = 0, error = 0;
    struct sockaddr_storage peer, *place = run->versions ? &peer : NULL;
    while (taken < budget && run->head <= run->brim && !run->ended) {
        int connection = accept_one(listener, place, &error);
        if (connection < 0)
            break;
        count(run->cells, run->indexes.accepted);
        taken++;
        int ready = place ? take_header(run, connection, place) : 1;
        if (ready < 0 || (ready && serve(run, connection) < 0))
            return NULL;
    }
    return Py_BuildValue("(iiOOKKO)", taken, error, run->chunks, run->gauges, (unsigned long long)run->received,
                         (unsigned long long)run->tick, run->unfinished);
}

static PyObject *lines(PyObject *module, PyObject *args)
{
    int listener, budget;
    unsigned int index;
    unsigned long long brim, tick;
    Py_buffer cells, ring;
    Run run = {0};
    Indexes *indexes = &run.indexes;
    if (!PyArg_ParseTuple(args, "iiinw*(nnnnn)w*IKK|iy#i:lines", &listener, &budget, &run.reads, &run.at_once, &cells,
                          &indexes->accepted, &indexes->eof, &indexes->reset, &indexes->error, &indexes->journal_head, &ring,
                          &index, &brim, &tick, &run.versions, &run.networks, &run.networks_size, &run.confirms))
        return NULL;
    PyObject *result = NULL;
    run.cells = cells.buf;
    run.ring = ring.buf;
    run.size = (uint64_t)ring.len;
    run.listener = index;
    run.brim = brim;
    run.tick = tick;
    run.chunks = PyList_New(0);
    run.gauges = PyList_New(0);
    run.unfinished = PyList_New(0);
    if (run.chunks && run.gauges && run.unfinished &&
        cells_reach(&cells, (const Py_ssize_t *)indexes, sizeof *indexes / sizeof(Py_ssize_t))) {
        run.head = run.cells[indexes->journal_head];
        if (sizes_fit(&run))
            result = accept_run(&run, listener, budget);
    }
    Py_XDECREF(run.chunks);
    Py_XDECREF(run.gauges);
    Py_XDECREF(run.unfinished);
    PyBuffer_Release(&cells);
    PyBuffer_Release(&ring);
    return result;
}

static PyObject *bare(PyObject *module, PyObject *args)
{
    int listener, budget, taken = 0, error = 0;
    Py_buffer cells;
    Py_ssize_t indexes[3]; /* accepted, counted, reset */
    static char bin[LARGEST_READ];
    if (!PyArg_ParseTuple(args, "iiw*(nnn):bare", &listener, &budget, &cells, &indexes[0], &indexes[1], &indexes[2]))
        return NULL;
    int good = cells_reach(&cells, indexes, 3);
    while (good && taken < budget) {
        int connection = accept_one(listener, NULL, &error);
        if (connection < 0)
            break;
        count(cells.buf, indexes[0]);
        taken++;
        /* Read once: closing with unread data would send a reset. */
        int broken = recv(connection, bin, sizeof bin, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
        count(cells.buf, indexes[broken ? 2 : 1]);
        close(connection);
    }
    PyBuffer_Release(&cells);
    return good ? Py_BuildValue("(ii)", taken, error) : NULL;
}

/* What proxy_header.py says of a client's good header, for tests: its length; 0 for all else. */
static PyObject *header(PyObject *module, PyObject *args)
{
    const unsigned char *data;
    Py_ssize_t size;
    int versions;
    if (!PyArg_ParseTuple(args, "y#i:header", &data, &size, &versions))
        return NULL;
    return PyLong_FromSsize_t(header_length(data, size, versions));
}

/* Read datagrams into a buffer, one after the other, each with the newline that it may lack, up to a number of them or
 * of bytes. A datagram that is larger than may be read at once ends the run, cut off: Python finds its whole lines. */
static PyObject *datagrams(PyObject *module, PyObject *args)
{
    PyObject *port;
    int most, count = 0, error = 0;
    Py_ssize_t batch, largest, end = 0, received = 0, size = 0;
    Py_buffer buffer;
    if (!PyArg_ParseTuple(args, "Oiw*nn:datagrams", &port, &most, &buffer, &batch, &largest))
        return NULL;
    int descriptor = PyObject_AsFileDescriptor(port);
    int good = batch >= 0 && largest > 0 && largest < buffer.len && batch < buffer.len - largest;
    char *data = buffer.buf;
    while (descriptor >= 0 && good && count < most && end < batch && size <= largest) {
        size = recv(descriptor, data + end, (size_t)largest, MSG_DONTWAIT | MSG_TRUNC);
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
    }
    PyBuffer_Release(&buffer);
    if (descriptor < 0)
        return NULL;
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "the buffer is smaller than a batch and one more datagram");
        return NULL;
    }
    return Py_BuildValue("(innii)", count, end, received, size > largest, error);
}

static PyMethodDef methods[] = {
    {"lines", lines, METH_VARARGS,
     "Accept up to a budget on a port of lines: (accepted, errno, chunks, gauges, received, tick, unfinished)."},
    {"header", header, METH_VARARGS,
     "Return the length of a client's header of the PROXY protocol, 0 if it is not whole or not good."},
    {"bare", bare, METH_VARARGS, "Accept, count and close up to a budget: (accepted, errno)."},
    {"datagrams", datagrams, METH_VARARGS,
     "Read datagrams into a buffer: (datagrams, end, bytes received, whether one was cut off there, errno)."},
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
