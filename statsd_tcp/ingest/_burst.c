/* The accept lanes' inner loop in C: what lane.py and line_lane.py do with a connection that has sent everything.
 *
 * Optional. Whatever is not the common case is left to the lanes in Python: a connection that is not finished, a read
 * that does not end in a newline, an error of accept(2). The Python interpreter's lock is held all the time; nothing
 * here waits: the sockets must not block.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LARGEST_READ = 65536, /* bytes read at once, at most */
    FRAME_HEAD = 32, /* of the journal, see ledger/journal.py */
    CHECKED_HEAD = 28,
    VERSION = 3, /* of what Python calls here; raised with it in native.py */
    ALIGNMENT = 8,
};

/* Where in the ledger's cells a listener's counts are, and the journal's head. */
typedef struct {
    Py_ssize_t accepted, eof, reset, error, journal_head;
} Indexes;

/* One run of accepts on a line port. */
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
} Run;

static uint32_t crc_table[256];

static void fill_crc_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
        crc_table[byte] = value;
    }
}

/* Go on with the checksum that zlib's crc32 makes; begin and end with all bits inverted. */
static uint32_t crc_of(uint32_t crc, const unsigned char *data, size_t length)
{
    for (size_t at = 0; at < length; at++)
        crc = crc_table[(crc ^ data[at]) & 0xFF] ^ (crc >> 8);
    return crc;
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
    uint32_t crc = ~crc_of(crc_of(~0u, checked, sizeof checked), lines, length);
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
        if (length == 0)
            return end(run, connection, run->indexes.eof);
        if (length < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                break;
            return end(run, connection, errno == ECONNRESET ? run->indexes.reset : run->indexes.error);
        }
        if (data[length - 1] != '\n')
            return leave(run, connection, data, length);
        if (take(run, data, (uint32_t)length) < 0)
            return -1;
    }
    return leave(run, connection, reads ? data : NULL, 0);
}

/* Accept without asking for the client's address. Returns the descriptor, or -1 with the error's number in *error. */
static int accept_one(int listener, int *error)
{
    int connection;
    do
        connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (connection < 0 && errno == EINTR);
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
    while (taken < budget && run->head <= run->brim && !run->ended) {
        int connection = accept_one(listener, &error);
        if (connection < 0)
            break;
        count(run->cells, run->indexes.accepted);
        taken++;
        if (serve(run, connection) < 0)
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
    if (!PyArg_ParseTuple(args, "iiinw*(nnnnn)w*IKK:lines", &listener, &budget, &run.reads, &run.at_once, &cells,
                          &indexes->accepted, &indexes->eof, &indexes->reset, &indexes->error, &indexes->journal_head, &ring,
                          &index, &brim, &tick))
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
        int connection = accept_one(listener, &error);
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
    fill_crc_table();
    if (module != NULL && PyModule_AddIntConstant(module, "VERSION", VERSION) < 0)
        Py_CLEAR(module);
    return module;
}
