/* What digest.py does with the lines of known shapes that have one plain number, in C: counters are added up, the values
 * of timers collected.
 *
 * Optional. It learns shapes from what the digest has read, and returns every line that it does not know.
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
    KEY_WORDS = 2 * ((LONGEST_KEY + 16) / 8 + 1), /* of 32 bits */
    PARTS = 4,             /* words of a counter's sum, of 64 bits */
    POINT = 128,           /* of these, the bits of fractions */
    FIRST_COSTS = 8,       /* taking a timer out takes as long as taking this many of its values */
    VERSION = 3,           /* of what Python calls here; raised with it in sums.py */
};

static const double TENS[MOST_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* One shape, see wire/shape.py, and what came of it since the sums were taken. */
typedef struct {
    uint64_t hash;
    char *key; /* the head and then the suffix */
    size_t head, size;
    PyObject *shape;
    Py_ssize_t digits; /* the most bytes of a value */
    double rate;
    int counter, used;
    uint64_t sum[PARTS]; /* of a counter, exactly: the lowest word first */
    uint64_t times; /* of a counter: its lines; of a timer: its values */
    double *values; /* of a timer */
    size_t room;
} Entry;

typedef struct {
    PyObject_HEAD
    uint32_t keys[KEY_WORDS]; /* secret, see hash_of */
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
    uint64_t digits; /* of the number, as if it had no point */
    size_t places;   /* after the point */
} Line;

/* --- lines --- */

/* Find the parts of a line; 0 if it has not got them. */
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

/* Read digits, or digits, a point and digits, at most 15 in all. 0 if it is anything else. */
static int read_number(Line *line)
{
    uint64_t whole = 0;
    size_t size = line->values_size;
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
    line->digits = whole;
    line->places = point ? size - 1 - (size_t)(point - line->values) : 0;
    return point != NULL || size <= MOST_DIGITS;
}

/* Both the digits and the power of ten are exact, so that the quotient is what strtod gives. */
static double number_of_line(const Line *line)
{
    return (double)line->digits / TENS[line->places];
}

/* --- the table --- */

#define NOWHERE SIZE_MAX

/* NH (Black and others, "UMAC", CRYPTO 1999): whatever two keys a client chooses, without knowing our secret they have
 * one hash in one of 2**32 cases, so that no names can be made to meet in the table. */
static uint64_t product(const uint32_t *keys, uint64_t word)
{
    return (uint64_t)(uint32_t)((uint32_t)word + keys[0]) * (uint32_t)((uint32_t)(word >> 32) + keys[1]);
}

/* Some bytes, fewer than 8, as a word. There are ``before`` others before them that may be read. */
static uint64_t last_word(const char *data, size_t size, size_t before)
{
    uint64_t word = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (before + size >= sizeof word) {
        memcpy(&word, data + size - sizeof word, sizeof word);
        return word >> 8 * (sizeof word - size);
    }
#endif
    (void)before;
    memcpy(&word, data, size);
    return word;
}

/* The products of bytes, with the words of the secret from ``keys`` on. */
static uint64_t hash_bytes(const uint32_t *keys, const char *data, size_t size, size_t before)
{
    uint64_t sum = 0, word;
    for (; size >= sizeof word; data += sizeof word, size -= sizeof word, before += sizeof word, keys += 2) {
        memcpy(&word, data, sizeof word);
        sum += product(keys, word);
    }
    return size ? sum + product(keys, last_word(data, size, before)) : sum;
}

/* Of a line whose head and suffix are not longer than LONGEST_KEY together. */
static uint64_t hash_of(const Sums *sums, const Line *line)
{
    const uint32_t *keys = sums->keys + 2;
    uint64_t hash = product(sums->keys, (uint64_t)line->head_size << 32 | line->suffix_size);
    hash += hash_bytes(keys, line->head, line->head_size, 0);
    keys += (line->head_size + 7) / 8 * 2;
    hash += hash_bytes(keys, line->suffix, line->suffix_size, (size_t)(line->suffix - line->head));
    hash = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

static int has_long_key(const Line *line)
{
    return line->head_size + line->suffix_size > LONGEST_KEY;
}

/* Make the secret of a seed (splitmix64). */
static void make_keys(Sums *sums, uint64_t seed)
{
    for (size_t at = 0; at < KEY_WORDS; at++) {
        uint64_t word = seed += 0x9E3779B97F4A7C15u;
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9u;
        word = (word ^ word >> 27) * 0x94D049BB133111EBu;
        sums->keys[at] = (uint32_t)(word >> 32);
    }
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

static void add_word(uint64_t *sum, size_t place, uint64_t word)
{
    sum[place] += word;
    for (int carry = sum[place] < word; carry && ++place < PARTS;)
        carry = ++sum[place] == 0;
}

/* Add a double that is not negative, exactly. 0 if it is out of range, which no line of a known shape is. */
static int add_exactly(uint64_t *sum, double number)
{
    const int fraction_bits = 52, bias = 1075; /* IEEE 754 */
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    int exponent = (int)(bits >> fraction_bits), shift = exponent - bias + POINT;
    if (bits == 0)
        return 1;
    if (exponent == 0 || shift < 0 || shift >= 64 * (PARTS - 1))
        return 0;
    uint64_t whole = (bits & (((uint64_t)1 << fraction_bits) - 1)) | (uint64_t)1 << fraction_bits;
    size_t place = (size_t)shift / 64, rest = (size_t)shift % 64;
    add_word(sum, place, whole << rest);
    if (rest > 0)
        add_word(sum, place + 1, whole >> (64 - rest));
    return 1;
}

/* Add to a counter; 1 if it is done, 0 if it cannot be. */
static int add_count(Entry *entry, const Line *line)
{
    if (entry->rate == 1.0 && line->places == 0)
        add_word(entry->sum, POINT / 64, line->digits);
    else if (!add_exactly(entry->sum, number_of_line(line) / entry->rate))
        return 0;
    entry->times++;
    entry->used = 1;
    return 1;
}

/* Add to a timer; 1 if it is done, -1 after an error. */
static int add_value(Sums *sums, Entry *entry, const Line *line)
{
    entry->used = 1;
    if (!entry->times)
        sums->collected += FIRST_COSTS;
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
    entry->values[entry->times++] = number_of_line(line);
    sums->collected++;
    return 1;
}

/* Add a line; 1 if it is done, 0 if it is not known, -1 after an error. */
static int add_line(Sums *sums, const char *start, const char *end)
{
    Line line;
    if (!take_apart(start, end, &line) || !read_number(&line) || has_long_key(&line))
        return 0;
    size_t place = place_of(sums, hash_of(sums, &line), &line);
    uint32_t found = place == NOWHERE ? 0 : sums->places[place];
    if (!found || (Py_ssize_t)line.values_size > sums->entries[found - 1].digits)
        return 0;
    Entry *entry = &sums->entries[found - 1];
    int done = entry->counter ? add_count(entry, &line) : add_value(sums, entry, &line);
    sums->lines += done > 0;
    return done;
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
    if (!take_apart(data, data + size, &line) || !read_number(&line) || has_long_key(&line))
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

static int give_number(Entry *entry, PyObject *counters, double number, uint64_t times)
{
    return keep(counters, Py_BuildValue("(OdK)", entry->shape, number, (unsigned long long)times));
}

/* Add numbers that have exactly a counter's sum: most often one, else one for each half of a word that has something. */
static int give_sum(Entry *entry, PyObject *counters)
{
    const uint64_t *sum = entry->sum, exact = (uint64_t)1 << 53;
    uint64_t times = entry->times;
    if (!sum[0] && !sum[1] && !sum[3] && sum[2] <= exact)
        return give_number(entry, counters, (double)sum[2], times);
    for (int half = 2 * PARTS - 1; half >= 0; half--) {
        uint32_t digits = (uint32_t)(sum[half / 2] >> 32 * (half % 2));
        if (digits == 0)
            continue;
        if (give_number(entry, counters, ldexp(digits, 32 * half - POINT), times) < 0)
            return -1;
        times = 0;
    }
    return 0;
}

static int give(Entry *entry, PyObject *counters, PyObject *timers)
{
    if (entry->counter)
        return give_sum(entry, counters);
    PyObject *values = packed(entry->values, entry->times);
    return values == NULL ? -1 : keep(timers, Py_BuildValue("(ON)", entry->shape, values));
}

static void start_over(Sums *sums)
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
        memset(entry->sum, 0, sizeof entry->sum);
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
        start_over(sums);
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
    make_keys(sums, seed);
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
    {"add", sums_add, METH_O, "Add the lines of a chunk, and return those that are not known."},
    {"learn", sums_learn, METH_VARARGS, "Learn the shapes of lines from a dictionary of shapes by head and suffix."},
    {"take", sums_take, METH_NOARGS, "Return the number of lines, counters and timers since the last time."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sums_attributes[] = {
    {"collected", sums_collected, NULL, "What taking everything costs, in timer values that take equally long.", NULL},
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
