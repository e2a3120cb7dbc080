/* What digest.py does with the lines of known shapes that have one plain number, in C: counters are added up, the values
 * of timers collected.
 *
 * Optional. It learns shapes from what the digest has read, and gives back every line that it doesn't know.
 */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    MOST_DIGITS = 15, /* of a whole number that is below 2**53; also of 10**15 */
    FIRST_PLACES = 1024,
    FIRST_VALUES = 8,
    BYTES_PER_ENTRY = 256, /* on the average, at most */
    LONGEST_KEY = 512,     /* in its series a character may need four times the room */
    LONGEST_PROBE = 32,    /* places: names may be made to meet in the table */
    FIRST_COSTS = 8,       /* taking a timer out takes as long as taking so many values of one */
    VERSION = 2,           /* of what Python calls here; raised with it in sums.py */
};

static const double TENS[MOST_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* One shape, see wire/shape.py, and what came of it since the sums were taken. */
typedef struct {
    uint64_t hash;
    char *key; /* the head and then the suffix */
    size_t head, size;
    PyObject *shape;
    Py_ssize_t digits; /* a value may have so many bytes */
    double rate;
    int counter, used;
    double sum, rest; /* of a counter, and what its additions rounded off */
    uint64_t times; /* of a counter: so many lines; of a timer: so many values */
    double *values; /* of a timer */
    size_t room;
} Entry;

typedef struct {
    PyObject_HEAD
    uint64_t seed;
    size_t most, bytes; /* entries at most, and the bytes of their keys */
    Entry *entries;
    size_t known, entries_room;
    uint32_t *places; /* 0: empty; else the number of an entry, from 1. A power of two of them, half of them empty */
    size_t places_mask;
    uint64_t lines, collected;
} Sums;

/* A line taken apart. */
typedef struct {
    const char *head, *values, *suffix;
    size_t head_size, values_size, suffix_size;
    double number;
} Line;

/* --- lines --- */

/* Find the parts of a line; 0 if it hasn't got them. */
static int take_apart(const char *start, const char *end, Line *line)
{
    const char *colon = memchr(start, ':', (size_t)(end - start));
    if (colon == NULL)
        return 0;
    const char *bar = memchr(colon + 1, '|', (size_t)(end - colon - 1));
    if (bar == NULL)
        return 0;
    line->head = start;
    line->head_size = (size_t)(colon - start);
    line->values = colon + 1;
    line->values_size = (size_t)(bar - colon - 1);
    line->suffix = bar + 1;
    line->suffix_size = (size_t)(end - bar - 1);
    return 1;
}

/* Read digits, or digits, a point and digits, at most 15 in all: then both the whole number that they make and the power
 * of ten that it is divided by are exact, and the quotient is what strtod gives. 0 if it is anything else. */
static int read_number(Line *line)
{
    uint64_t whole = 0;
    size_t size = line->values_size, behind_point = 0;
    const char *point = NULL;
    if (size == 0 || size > MOST_DIGITS + 1)
        return 0;
    for (size_t at = 0; at < size; at++) {
        unsigned digit = (unsigned char)line->values[at] - (unsigned)'0';
        if (digit <= 9)
            whole = whole * 10 + digit;
        else if (line->values[at] == '.' && point == NULL && at > 0 && at + 1 < size)
            point = line->values + at;
        else
            return 0;
    }
    if (point != NULL)
        behind_point = size - 1 - (size_t)(point - line->values);
    else if (size > MOST_DIGITS)
        return 0;
    line->number = (double)whole / TENS[behind_point];
    return 1;
}

/* --- the table --- */

#define NOWHERE SIZE_MAX

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
}

static uint64_t hash_bytes(uint64_t hash, const char *data, size_t size)
{
    uint64_t word;
    for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
        memcpy(&word, data, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    memcpy(&word, data, size);
    return mix(mix(hash, word), size);
}

static uint64_t hash_of(const Sums *sums, const Line *line)
{
    uint64_t hash = hash_bytes(sums->seed, line->head, line->head_size);
    hash = mix(hash_bytes(hash, line->suffix, line->suffix_size), line->head_size);
    return hash ^ (hash >> 32);
}

static int is_of(const Entry *entry, uint64_t hash, const Line *line)
{
    return entry->hash == hash && entry->head == line->head_size &&
           entry->size == line->head_size + line->suffix_size && memcmp(entry->key, line->head, line->head_size) == 0 &&
           memcmp(entry->key + line->head_size, line->suffix, line->suffix_size) == 0;
}

/* The place of a line's shape, or the empty one where it would be; NOWHERE if there is none within reach. */
static size_t place_of(const Sums *sums, uint64_t hash, const Line *line)
{
    for (size_t step = 0; step < LONGEST_PROBE; step++) {
        size_t place = (hash + step) & sums->places_mask;
        if (!sums->places[place] || is_of(&sums->entries[sums->places[place] - 1], hash, line))
            return place;
    }
    return NOWHERE;
}

static void put_in_place(Sums *sums, size_t number)
{
    size_t place = sums->entries[number].hash & sums->places_mask;
    while (sums->places[place])
        place = (place + 1) & sums->places_mask;
    sums->places[place] = (uint32_t)(number + 1);
}

static int resize(Sums *sums, size_t places)
{
    uint32_t *made = PyMem_Calloc(places, sizeof *made);
    Entry *entries = made ? PyMem_Realloc(sums->entries, places / 2 * sizeof *entries) : NULL;
    if (entries == NULL) {
        PyMem_Free(made);
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(sums->places);
    sums->places = made;
    sums->places_mask = places - 1;
    sums->entries = entries;
    sums->entries_room = places / 2;
    for (size_t number = 0; number < sums->known; number++)
        put_in_place(sums, number);
    return 0;
}

static int is_full(const Sums *sums)
{
    return sums->known >= sums->most || sums->bytes >= sums->most * BYTES_PER_ENTRY;
}

static void forget(Entry *entry)
{
    PyMem_Free(entry->key);
    PyMem_Free(entry->values);
    Py_DECREF(entry->shape);
}

/* Forget the shapes of which nothing came since the sums were taken, to make room. */
static void forget_unused(Sums *sums)
{
    size_t kept = 0;
    memset(sums->places, 0, (sums->places_mask + 1) * sizeof *sums->places);
    for (size_t number = 0; number < sums->known; number++) {
        if (!sums->entries[number].used) {
            sums->bytes -= sums->entries[number].size;
            forget(&sums->entries[number]);
            continue;
        }
        sums->entries[kept] = sums->entries[number];
        put_in_place(sums, kept++);
    }
    sums->known = kept;
}

/* --- adding --- */

/* Add to a sum, and keep what is rounded off (Neumaier): a million tenths are a hundred thousand. */
static void add_up(Entry *entry, double number)
{
    double sum = entry->sum + number;
    entry->rest += fabs(entry->sum) >= fabs(number) ? entry->sum - sum + number : number - sum + entry->sum;
    entry->sum = sum;
}

static int add_value(Sums *sums, Entry *entry, double number)
{
    entry->used = 1;
    if (!entry->times && !entry->counter)
        sums->collected += FIRST_COSTS;
    if (entry->counter) {
        add_up(entry, entry->rate == 1.0 ? number : number / entry->rate);
        entry->times++;
        return 0;
    }
    if (entry->times == entry->room) {
        size_t room = entry->room ? entry->room * 2 : FIRST_VALUES;
        double *values = PyMem_Realloc(entry->values, room * sizeof *values);
        if (values == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        entry->values = values;
        entry->room = room;
    }
    entry->values[entry->times++] = number;
    sums->collected++;
    return 0;
}

/* Add a line; 1 if it is done, 0 if it isn't known, -1 after an error. */
static int add_line(Sums *sums, const char *start, const char *end)
{
    Line line;
    if (!take_apart(start, end, &line) || !read_number(&line))
        return 0;
    size_t place = place_of(sums, hash_of(sums, &line), &line);
    uint32_t found = place == NOWHERE ? 0 : sums->places[place];
    if (!found || (Py_ssize_t)line.values_size > sums->entries[found - 1].digits)
        return 0;
    if (add_value(sums, &sums->entries[found - 1], line.number) < 0)
        return -1;
    sums->lines++;
    return 1;
}

static int keep(PyObject *list, PyObject *item)
{
    if (item == NULL)
        return -1;
    int failed = PyList_Append(list, item);
    Py_DECREF(item);
    return failed;
}

static PyObject *sums_add(PyObject *self, PyObject *chunk)
{
    Sums *sums = (Sums *)self;
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(chunk, &data, &size) < 0)
        return NULL;
    PyObject *rest = PyList_New(0);
    if (rest == NULL)
        return NULL;
    for (const char *start = data, *stop = data + size, *end; start < stop; start = end + 1) {
        end = memchr(start, '\n', (size_t)(stop - start));
        if (end == NULL)
            end = stop;
        int done = add_line(sums, start, end);
        if (done < 0 || (!done && keep(rest, PyBytes_FromStringAndSize(start, end - start)) < 0)) {
            Py_DECREF(rest);
            return NULL;
        }
    }
    return rest;
}

/* --- learning --- */

static int number_of(PyObject *shape, const char *name, double *number)
{
    PyObject *value = PyObject_GetAttrString(shape, name);
    if (value == NULL)
        return -1;
    *number = PyFloat_AsDouble(value);
    Py_DECREF(value);
    return PyErr_Occurred() ? -1 : 0;
}

/* Whether the shape's lines are added up (1), collected (2), or neither (0); -1 after an error. */
static int use_of(PyObject *shape)
{
    int use = -1;
    PyObject *kind = PyObject_GetAttrString(shape, "kind");
    const char *text = kind ? PyUnicode_AsUTF8AndSize(kind, NULL) : NULL;
    if (text != NULL)
        use = strcmp(text, "c") == 0 ? 1 : strcmp(text, "ms") == 0 || strcmp(text, "h") == 0 || strcmp(text, "d") == 0 ? 2 : 0;
    Py_XDECREF(kind);
    return use;
}

static int enter(Sums *sums, size_t place, uint64_t hash, const Line *line, PyObject *shape, int counter)
{
    double rate, digits;
    if (number_of(shape, "rate", &rate) < 0 || number_of(shape, "digits", &digits) < 0)
        return -1;
    if (digits < 1)
        return 0;
    Entry entry = {.hash = hash,
                   .head = line->head_size,
                   .size = line->head_size + line->suffix_size,
                   .shape = shape,
                   .digits = (Py_ssize_t)digits,
                   .rate = rate,
                   .counter = counter};
    entry.key = PyMem_Malloc(entry.size ? entry.size : 1);
    if (entry.key == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(entry.key, line->head, line->head_size);
    memcpy(entry.key + line->head_size, line->suffix, line->suffix_size);
    Py_INCREF(shape);
    sums->bytes += entry.size;
    sums->entries[sums->known++] = entry;
    sums->places[place] = (uint32_t)sums->known;
    return 0;
}

/* The shape that a dictionary knows a line by, borrowed; NULL if none, or after an error. */
static PyObject *look_up(PyObject *shapes, const Line *line)
{
    PyObject *key = Py_BuildValue("(y#y#)", line->head, (Py_ssize_t)line->head_size, line->suffix,
                                  (Py_ssize_t)line->suffix_size);
    PyObject *shape = key ? PyDict_GetItemWithError(shapes, key) : NULL;
    Py_XDECREF(key);
    return shape;
}

static int learn_line(Sums *sums, PyObject *text, PyObject *shapes)
{
    char *data;
    Py_ssize_t size;
    Line line;
    if (PyBytes_AsStringAndSize(text, &data, &size) < 0)
        return -1;
    if (!take_apart(data, data + size, &line) || !read_number(&line) ||
        line.head_size + line.suffix_size > LONGEST_KEY)
        return 0;
    if (sums->known == sums->entries_room && sums->known < sums->most && resize(sums, (sums->places_mask + 1) * 2) < 0)
        return -1;
    uint64_t hash = hash_of(sums, &line);
    size_t place = place_of(sums, hash, &line);
    if (place == NOWHERE || sums->places[place] || is_full(sums))
        return 0;
    PyObject *shape = look_up(shapes, &line);
    if (shape == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int use = use_of(shape);
    return use > 0 ? enter(sums, place, hash, &line, shape, use == 1) : use;
}

static PyObject *sums_learn(PyObject *self, PyObject *args)
{
    PyObject *lines, *shapes, *line;
    Py_ssize_t at = 0;
    if (!PyArg_ParseTuple(args, "O!O!:learn", &PyDict_Type, &lines, &PyDict_Type, &shapes))
        return NULL;
    while (PyDict_Next(lines, &at, &line, NULL))
        if (learn_line((Sums *)self, line, shapes) < 0)
            return NULL;
    Py_RETURN_NONE;
}

/* --- taking --- */

/* Doubles as they are packed everywhere: little-endian. */
static PyObject *packed(const double *values, uint64_t number)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(number * sizeof *values));
    char *bytes = made ? PyBytes_AsString(made) : NULL;
    if (bytes == NULL)
        return NULL;
    for (uint64_t at = 0; at < number; at++) {
        uint64_t bits;
        memcpy(&bits, &values[at], sizeof bits);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        bits = __builtin_bswap64(bits);
#endif
        memcpy(bytes + at * sizeof bits, &bits, sizeof bits);
    }
    return made;
}

static int give(Entry *entry, PyObject *counters, PyObject *timers)
{
    if (entry->counter)
        return keep(counters,
                    Py_BuildValue("(OdK)", entry->shape, entry->sum + entry->rest, (unsigned long long)entry->times));
    PyObject *values = packed(entry->values, entry->times);
    return values == NULL ? -1 : keep(timers, Py_BuildValue("(ON)", entry->shape, values));
}

static void begin_anew(Sums *sums)
{
    for (size_t number = 0; number < sums->known; number++) {
        Entry *entry = &sums->entries[number];
        if (!entry->used) {
            /* Room that a burst of values needed is given back when the burst is over. */
            PyMem_Free(entry->values);
            entry->values = NULL;
            entry->room = 0;
        }
        entry->used = 0;
        entry->times = 0;
        entry->sum = entry->rest = 0.0;
    }
    sums->lines = sums->collected = 0;
}

static PyObject *sums_take(PyObject *self, PyObject *unused)
{
    Sums *sums = (Sums *)self;
    PyObject *counters = PyList_New(0), *timers = PyList_New(0), *taken = NULL;
    int failed = counters == NULL || timers == NULL;
    for (size_t number = 0; !failed && number < sums->known; number++)
        if (sums->entries[number].times)
            failed = give(&sums->entries[number], counters, timers);
    if (!failed)
        taken = Py_BuildValue("(KOO)", (unsigned long long)sums->lines, counters, timers);
    Py_XDECREF(counters);
    Py_XDECREF(timers);
    if (taken != NULL) {
        if (is_full(sums))
            forget_unused(sums);
        begin_anew(sums);
    }
    return taken;
}

static PyObject *sums_collected(PyObject *self, void *unused)
{
    return PyLong_FromUnsignedLongLong(((Sums *)self)->collected);
}

static PyObject *sums_known(PyObject *self, void *unused)
{
    return PyLong_FromSize_t(((Sums *)self)->known);
}

/* --- the type --- */

static PyObject *sums_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"limit", "seed", NULL};
    Py_ssize_t limit;
    unsigned long long seed;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "nK:Sums", names, &limit, &seed))
        return NULL;
    if (limit < 1 || limit > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "limit");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Sums *sums = (Sums *)allocate(type, 0);
    if (sums == NULL)
        return NULL;
    sums->seed = seed;
    sums->most = (size_t)limit;
    if (resize(sums, FIRST_PLACES) < 0)
        Py_CLEAR(sums);
    return (PyObject *)sums;
}

static void sums_dealloc(PyObject *self)
{
    Sums *sums = (Sums *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (size_t number = 0; number < sums->known; number++)
        forget(&sums->entries[number]);
    PyMem_Free(sums->entries);
    PyMem_Free(sums->places);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef sums_methods[] = {
    {"add", sums_add, METH_O, "Add the lines of a chunk, and give those that aren't known."},
    {"learn", sums_learn, METH_VARARGS, "Learn the shapes of lines from a dictionary of shapes by head and suffix."},
    {"take", sums_take, METH_NOARGS, "Give the number of lines, counters and timers since the last time."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sums_attributes[] = {
    {"collected", sums_collected, NULL, "How much it would take to take them: about so many values of timers.", NULL},
    {"known", sums_known, NULL, "How many shapes are known.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot sums_slots[] = {
    {Py_tp_new, sums_new},
    {Py_tp_dealloc, sums_dealloc},
    {Py_tp_methods, sums_methods},
    {Py_tp_getset, sums_attributes},
    {Py_tp_doc, "The sums of plain lines."},
    {0, NULL},
};

static PyType_Spec sums_spec = {
    .name = "statsd_tcp.aggregate._sums.Sums",
    .basicsize = sizeof(Sums),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = sums_slots,
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_sums", "Lines of known shapes.", -1, NULL,
                                        NULL,                  NULL,    NULL,                     NULL};

PyMODINIT_FUNC PyInit__sums(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = module ? PyType_FromSpec(&sums_spec) : NULL;
    if (type == NULL || PyModule_AddObjectRef(module, "Sums", type) < 0 ||
        PyModule_AddIntConstant(module, "VERSION", VERSION) < 0)
        Py_CLEAR(module);
    Py_XDECREF(type);
    return module;
}
