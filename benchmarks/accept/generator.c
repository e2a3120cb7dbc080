/* A load generator small enough not to be what is measured: epoll, no copying, no allocation while it runs.
 *
 *     generator --port P --mode MODE [options]      prints one line of JSON
 *
 * Modes
 *     bare        connect, wait for the server's FIN
 *     bare-close  connect, close as soon as the handshake is through
 *     line-half   connect, send --lines lines (default 1), half-close, wait for the server's FIN
 *     line-late   the same, but the lines follow --late-ms milliseconds after the handshake
 *     lines       line-half with another name, for --lines N
 *     fire        connect, send, close: waits for nothing
 *     kept        --concurrency connections that stay, and send blocks of --block lines
 *
 * Arrivals: --rate R starts connections open-loop, as independent clients come (exponential gaps, a fixed seed;
 * --even for equal ones), and times each from the moment it was due (--from-connect: from its connect()). Without --rate, --concurrency C are kept going,
 * each timed from its connect(). --in-turns lets the C clients take turns after each step, as on C machines;
 * otherwise one that can go on at once does, as C processes on one machine do. In mode kept --rate counts lines.
 *
 * Bounds: --count N connections (lines in mode kept), --seconds S, whichever is first, and --timeout S for each
 * connection. Every client address is one of --sources 127.1.x.y, so that no port range fills up.
 *
 * Exit status 0 when everything that was started completed, 1 when not, 2 for wrong options.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define SECOND 1000000000LL
#define EVENTS 512
#define STARTS_PER_TURN 64   /* then look at the events, so that no answer waits for a whole burst */
#define MAX_OPEN 16384       /* of open-loop connections; beyond it arrivals wait, and their latency says so */
#define POOL_LINES 65536     /* different lines ready to be sent; a power of two */
#define FINE 6               /* the histogram's buckets are 2^-FINE of their value wide: 1.6 % */
#define BUCKETS (64 << FINE)

enum state { UNUSED, CONNECTING, HOLDING, SENDING, FINISHING };

struct connection {
    int fd;
    enum state state;
    int64_t begun;          /* when it was due, or connected: latency counts from here */
    int64_t deadline;
    int64_t send_at;        /* HOLDING only */
    size_t at, left;        /* what is still to be sent: left bytes from the pool, cyclically from at */
    int watched;            /* epoll events it is registered for, 0 when it is not */
    struct connection *earlier, *later;   /* all open ones, oldest first: equal timeouts expire in this order */
    struct connection *next_held;
};

struct totals {
    uint64_t started, completed, refused, reset, timed_out, local_errors, bytes, most_open;
    uint64_t lines;         /* mode kept: handed to a connection so far */
    uint64_t histogram[BUCKETS];
    int64_t slowest, last;
    int64_t waited;         /* nanoseconds ready to run, but without a CPU */
};

struct client {
    struct totals totals;
    pthread_t thread;
    unsigned index;
    int poll;
    size_t open, capacity, cursor, turn;
    uint64_t random;
    int64_t due;
    struct connection *slots, *unused, *oldest, *newest, *held, *last_held;
};

/* Options. */
static int port, sources = 250, threads = 1, even, in_turns, timers, from_connect;
static unsigned concurrency = 64, lines_each = 1, block = 64, names = 1000, seed = 1;
static uint64_t count = UINT64_MAX;
static double rate, seconds = 3, timeout = 5, late_ms = 5;
static const char *mode;
static int sends, half_closes, awaits_fin, holds, kept;

static char *pool;
static size_t line_size, pool_size;
static int64_t started_at, stop_at;

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t next_random(struct client *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

/* --- what is sent: lines of one length, so that a position says how many lines went before it --------------- */

static void fill_pool(void)
{
    char line[64];
    struct client dice = {.random = 0x9e3779b97f4a7c15ULL + seed};

    line_size = timers ? strlen("bench.t000000:100|ms\n") : strlen("bench.c000000:1|c\n");
    pool_size = line_size * POOL_LINES;
    pool = malloc(pool_size);
    for (size_t i = 0; pool && i < POOL_LINES; i++) {
        unsigned name = next_random(&dice) % names, value = 100 + next_random(&dice) % 900;
        if (timers)
            snprintf(line, sizeof line, "bench.t%06u:%u|ms\n", name, value);
        else
            snprintf(line, sizeof line, "bench.c%06u:1|c\n", name);
        memcpy(pool + i * line_size, line, line_size);
    }
    if (!pool)
        fail("malloc");
}

/* --- results -------------------------------------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t value)
{
    if (value < (2u << FINE))
        return value;
    unsigned shift = 63 - FINE - __builtin_clzll(value);
    return (shift << FINE) + (value >> shift);
}

static double value_of(unsigned bucket)
{
    if (bucket < (2u << FINE))
        return bucket;
    unsigned shift = (bucket >> FINE) - 1;
    return ((double)(bucket - (shift << FINE)) + 0.5) * (double)(1ULL << shift);
}

static double quantile(const struct totals *t, double q)
{
    uint64_t rank = ceil(q * t->completed), seen = 0;

    for (unsigned i = 0; i < BUCKETS; i++)
        if ((seen += t->histogram[i]) >= rank && seen)
            return value_of(i) < t->slowest ? value_of(i) : t->slowest;
    return 0;
}

/* --- a connection's life -------------------------------------------------------------------------------------- */

static void forget(struct client *c, struct connection *k)
{
    close(k->fd);
    *(k->earlier ? &k->earlier->later : &c->oldest) = k->later;
    *(k->later ? &k->later->earlier : &c->newest) = k->earlier;
    k->state = UNUSED;
    k->later = c->unused;
    c->unused = k;
    c->open--;
}

static void complete(struct client *c, struct connection *k)
{
    int64_t at, took;

    if (!awaits_fin)        /* close() is part of what such a client waits for */
        forget(c, k);
    at = now();
    took = at - k->begun;
    c->totals.completed++;
    c->totals.histogram[bucket_of(took)]++;
    if (took > c->totals.slowest)
        c->totals.slowest = took;
    c->totals.last = at;
    if (awaits_fin)
        forget(c, k);
}

static void give_up(struct client *c, struct connection *k, int error)
{
    if (error == ECONNREFUSED)
        c->totals.refused++;
    else if (error == ECONNRESET || error == EPIPE)
        c->totals.reset++;
    else if (error == ETIMEDOUT)
        c->totals.timed_out++;
    else
        c->totals.local_errors++;
    forget(c, k);
}

static void watch(struct client *c, struct connection *k, int events)
{
    struct epoll_event wanted = {.events = events, .data.ptr = k};

    if (k->watched == events)
        return;
    if (epoll_ctl(c->poll, k->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, k->fd, &wanted))
        fail("epoll_ctl");
    k->watched = events;
}

static void hold(struct client *c, struct connection *k, int64_t until)
{
    k->state = HOLDING;
    k->send_at = until;
    k->next_held = NULL;
    *(c->held ? &c->last_held->next_held : &c->held) = k;
    c->last_held = k;
}

/* Sends what is left: 1 when all of it went, 0 when the socket is full (or still connecting), -1 when it failed. */
static int send_left(struct client *c, struct connection *k)
{
    while (k->left) {
        size_t piece = k->left < pool_size - k->at ? k->left : pool_size - k->at;
        ssize_t went = send(k->fd, pool + k->at, piece, MSG_NOSIGNAL);
        if (went < 0)
            return errno == EAGAIN ? 0 : -1;
        c->totals.bytes += went;
        k->left -= went;
        k->at = k->at + went == pool_size ? 0 : k->at + went;
    }
    return 1;
}

static void finish(struct client *c, struct connection *k)
{
    if (half_closes && shutdown(k->fd, SHUT_WR)) {
        give_up(c, k, errno == ENOTCONN ? ECONNRESET : errno);
        return;
    }
    if (!awaits_fin) {
        complete(c, k);
        return;
    }
    k->state = FINISHING;
    watch(c, k, EPOLLRDHUP);
}

static void send_or_wait(struct client *c, struct connection *k)
{
    int sent = send_left(c, k);

    k->state = SENDING;
    if (sent < 0)
        give_up(c, k, errno);
    else if (sent)
        finish(c, k);
    else
        watch(c, k, EPOLLOUT | EPOLLRDHUP);
}

static void connected(struct client *c, struct connection *k)
{
    if (holds)
        hold(c, k, now() + (int64_t)(late_ms * 1e6));
    else
        send_or_wait(c, k);
}

/* connect() on loopback is through before it returns, though it says EINPROGRESS: asked again it tells. */
static int is_connected(struct connection *k, const struct sockaddr_in *server)
{
    return connect(k->fd, (const struct sockaddr *)server, sizeof *server) == 0 || errno == EISCONN;
}

static int open_socket(struct client *c)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unsigned source = (c->totals.started * threads + c->index) % (sources ? sources : 1);
    struct sockaddr_in from = {.sin_family = AF_INET};

    if (fd < 0 || !sources)
        return fd;
    from.sin_addr.s_addr = htonl((127u << 24) + (1u << 16) + (source / 250 << 8) + 1 + source % 250);
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&from, sizeof from)) {
        close(fd);
        return -1;
    }
    return fd;
}

static struct connection *take_slot(struct client *c, int fd, int64_t begun)
{
    struct connection *k = c->unused;

    c->unused = k->later;
    *k = (struct connection){.fd = fd, .state = CONNECTING, .begun = begun, .earlier = c->newest,
                             .deadline = now() + (int64_t)(timeout * SECOND), .at = c->cursor};
    *(c->newest ? &c->newest->later : &c->oldest) = k;
    c->newest = k;
    if (++c->open > c->totals.most_open)
        c->totals.most_open = c->open;
    return k;
}

static void start(struct client *c, int64_t begun)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct connection *k;
    int fd = open_socket(c);

    c->totals.started++;
    if (fd < 0) {
        c->totals.local_errors++;
        return;
    }
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    k = take_slot(c, fd, begun);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) {
        give_up(c, k, errno);
        return;
    }
    if (sends && !kept) {
        k->left = lines_each * line_size;
        c->cursor = (c->cursor + k->left) % pool_size;
    }
    if (in_turns)
        hold(c, k, 0);
    else if (kept) {
        k->state = SENDING;
        k->deadline = stop_at + (int64_t)(timeout * SECOND);
        watch(c, k, EPOLLOUT | EPOLLRDHUP);
    } else if (!sends && awaits_fin)
        finish(c, k);
    else if (sends && !holds)
        send_or_wait(c, k);
    else if (is_connected(k, &server))
        connected(c, k);
    else
        watch(c, k, EPOLLOUT);
}

/* A step that was put off is taken: the lines of a late client, or the next turn of one of many. */
static void take_held(struct client *c)
{
    int64_t at = c->held ? now() : 0;

    for (struct connection *k; (k = c->held) && k->send_at <= at;) {
        c->held = k->next_held;
        send_or_wait(c, k);
    }
}

static void feed(struct client *c, struct connection *k);

static void on_event(struct client *c, struct connection *k, int events)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (k->state == UNUSED || k->state == HOLDING)
        return;
    if (events & EPOLLERR) {
        getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        give_up(c, k, error ? error : ECONNRESET);
    } else if (k->state == FINISHING) {
        if (events & EPOLLRDHUP)
            complete(c, k);
    } else if (k->state == CONNECTING) {
        watch(c, k, EPOLLRDHUP);
        connected(c, k);
    } else if (events & EPOLLOUT) {
        if (kept)
            feed(c, k);
        else
            send_or_wait(c, k);
    } else if (events & EPOLLRDHUP)         /* the server ended first */
        give_up(c, k, ECONNRESET);
}

static void expire(struct client *c)
{
    int64_t at = now();

    while (c->oldest && c->oldest->deadline < at && c->oldest->state != HOLDING)
        give_up(c, c->oldest, ETIMEDOUT);
}

/* --- arrivals --------------------------------------------------------------------------------------------------- */

static uint64_t share(uint64_t whole, const struct client *c)
{
    return whole / threads + (c->index < whole % threads);
}

static int may_start(const struct client *c, int64_t at)
{
    return at < stop_at && c->totals.started < share(count, c);
}

static double gap(struct client *c)
{
    double mean = SECOND * threads / rate;

    return even ? mean : -log((next_random(c) >> 11) * 0x1p-53 + 0x1p-54) * mean;
}

static void start_due(struct client *c)
{
    int64_t at = now();

    for (int i = 0; i < STARTS_PER_TURN && c->open < c->capacity && may_start(c, at); i++) {
        if (rate && c->due > at)
            return;
        start(c, rate && !from_connect ? c->due : at);
        if (rate)
            c->due += gap(c);
        at = now();
    }
}

static int64_t next_deed(struct client *c, int64_t at)
{
    int64_t when = c->oldest ? c->oldest->deadline : at + SECOND;

    if (may_start(c, at) && c->open < c->capacity) {
        if (!rate)
            return at;
        when = c->due < when ? c->due : when;
    }
    return c->held && c->held->send_at < when ? c->held->send_at : when;
}

static void wait_for_events(struct client *c, int64_t until)
{
    struct epoll_event events[EVENTS];
    int64_t left = until - now();
    struct timespec wait = {.tv_sec = left > 0 ? left / SECOND : 0, .tv_nsec = left > 0 ? left % SECOND : 0};
    int ready = epoll_pwait2(c->poll, events, EVENTS, &wait, NULL);

    if (ready < 0 && errno != EINTR)
        fail("epoll_pwait2");
    for (int i = 0; i < ready; i++)
        on_event(c, events[i].data.ptr, events[i].events);
}

static void run_connections(struct client *c)
{
    c->due = started_at + (rate ? (int64_t)gap(c) : 0);
    for (;;) {
        int64_t at;
        start_due(c);
        take_held(c);
        at = now();
        if (!c->open && !may_start(c, at))
            return;
        wait_for_events(c, next_deed(c, at));
        expire(c);
    }
}

/* --- connections that stay ------------------------------------------------------------------------------------- */

/* Lines this client may have sent by now, by rate, count and time. */
static uint64_t allowance(const struct client *c, int64_t at)
{
    uint64_t most = share(count, c), due;

    if (!rate)
        return at < stop_at ? most : 0;
    due = (double)((at < stop_at ? at : stop_at) - started_at) / SECOND * rate / threads;
    return due < most ? due : most;
}

static void top_up(struct client *c, struct connection *k, int64_t at)
{
    uint64_t may = allowance(c, at), more = c->totals.lines < may ? may - c->totals.lines : 0;

    if (rate && more < block && at < stop_at && may < share(count, c))
        return;                             /* a whole block or nothing, but for the last */
    more = more < block ? more : block;
    c->totals.lines += more;
    k->left += more * line_size;
}

static void feed(struct client *c, struct connection *k)
{
    int64_t at = now();
    int sent = 1;

    for (int blocks = 0; blocks < 16 && sent > 0; blocks++) {
        top_up(c, k, at);
        if (!k->left)
            break;
        sent = send_left(c, k);
        if (rate)
            break;
    }
    if (sent < 0)
        give_up(c, k, errno);
    else if (k->left || (!rate && allowance(c, at) > c->totals.lines))
        watch(c, k, EPOLLOUT | EPOLLRDHUP);
    else if (at >= stop_at || c->totals.lines >= share(count, c))
        finish(c, k);
    else
        watch(c, k, EPOLLRDHUP);
}

static void feed_all(struct client *c)
{
    for (size_t i = 0; i < c->capacity; i++) {
        struct connection *k = &c->slots[c->turn++ % c->capacity];      /* everyone is first once */
        if (k->state == SENDING && (!k->left || !rate))
            feed(c, k);
    }
    c->turn++;
}

static void run_kept(struct client *c)
{
    for (size_t i = 0; i < c->capacity; i++) {
        start(c, started_at);
        c->cursor = (c->cursor + pool_size / c->capacity / line_size * line_size) % pool_size;
    }
    while (c->open) {
        int64_t wait = rate ? (int64_t)(SECOND * block * threads / rate) : SECOND / 100;
        wait_for_events(c, now() + (wait < SECOND / 100 ? wait : SECOND / 100));
        if (rate || now() >= stop_at)
            feed_all(c);
        if (now() > stop_at)
            expire(c);
    }
}

/* --- the program ------------------------------------------------------------------------------------------------ */

static int64_t nanoseconds_without_cpu(void)
{
    long long had = 0, waited = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "r");

    if (file) {
        if (fscanf(file, "%lld %lld", &had, &waited) != 2)
            waited = 0;
        fclose(file);
    }
    return waited;
}

static void *run(void *argument)
{
    struct client *c = argument;

    prctl(PR_SET_TIMERSLACK, 1);
    c->capacity = rate && !kept ? MAX_OPEN : share(concurrency, c);
    c->slots = calloc(c->capacity, sizeof *c->slots);
    c->poll = epoll_create1(EPOLL_CLOEXEC);
    c->random = 0x9e3779b97f4a7c15ULL * (c->index + seed + 1);
    c->cursor = c->index * (POOL_LINES / threads) * line_size;
    if (!c->slots || c->poll < 0)
        fail("start");
    for (size_t i = c->capacity; i-- > 0; c->unused = &c->slots[i])
        c->slots[i].later = c->unused;
    kept ? run_kept(c) : run_connections(c);
    c->totals.waited = nanoseconds_without_cpu();
    return NULL;
}

static void add(struct totals *sum, const struct totals *t)
{
    sum->started += t->started;
    sum->completed += t->completed;
    sum->refused += t->refused;
    sum->reset += t->reset;
    sum->timed_out += t->timed_out;
    sum->local_errors += t->local_errors;
    sum->bytes += t->bytes;
    sum->most_open += t->most_open;
    sum->waited += t->waited;
    for (unsigned i = 0; i < BUCKETS; i++)
        sum->histogram[i] += t->histogram[i];
    if (t->slowest > sum->slowest)
        sum->slowest = t->slowest;
    if (t->last > sum->last)
        sum->last = t->last;
}

static double cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void print(const struct totals *t)
{
    double elapsed = t->last ? (double)(t->last - started_at) / SECOND : 0;
    uint64_t lines = line_size ? t->bytes / line_size : 0;

    printf("{\"mode\": \"%s\", \"started\": %lu, \"completed\": %lu, \"refused\": %lu, \"reset\": %lu, "
           "\"timed_out\": %lu, \"local_errors\": %lu, \"lines\": %lu, \"bytes\": %lu, \"most_open\": %lu, "
           "\"elapsed_s\": %.6f, \"rate\": %.1f, \"line_rate\": %.1f, \"cpu_s\": %.6f, \"waited_s\": %.6f, "
           "\"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}}\n",
           mode, t->started, t->completed, t->refused, t->reset, t->timed_out, t->local_errors, lines, t->bytes,
           t->most_open, elapsed, elapsed > 0 ? t->completed / elapsed : 0, elapsed > 0 ? lines / elapsed : 0,
           cpu_seconds(), (double)t->waited / SECOND, quantile(t, 0.5) / 1e3, quantile(t, 0.99) / 1e3, quantile(t, 0.999) / 1e3,
           t->slowest / 1e3);
}

static void set_mode(void)
{
    static const struct { const char *name; int sends, half_closes, awaits_fin, holds, kept; } modes[] = {
        {"bare", 0, 0, 1, 0, 0},  {"bare-close", 0, 0, 0, 0, 0}, {"line-half", 1, 1, 1, 0, 0},
        {"line-late", 1, 1, 1, 1, 0}, {"lines", 1, 1, 1, 0, 0}, {"fire", 1, 0, 0, 0, 0}, {"kept", 1, 1, 1, 0, 1}};

    for (size_t i = 0; mode && i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(mode, modes[i].name)) {
            sends = modes[i].sends, half_closes = modes[i].half_closes, awaits_fin = modes[i].awaits_fin;
            holds = modes[i].holds, kept = modes[i].kept;
            return;
        }
    fprintf(stderr, "generator: --mode must be bare, bare-close, line-half, line-late, lines, fire or kept\n");
    exit(2);
}

enum option_code { PORT = 1, MODE, COUNT, SECONDS, TIMEOUT, RATE, EVEN, IN_TURNS, CONCURRENCY, LINES, BLOCK, NAMES,
                   TIMERS, LATE_MS, SOURCES, THREADS, SEED, FROM_CONNECT };

static const struct option options[] = {
    {"port", 1, 0, PORT}, {"mode", 1, 0, MODE}, {"count", 1, 0, COUNT}, {"seconds", 1, 0, SECONDS},
    {"timeout", 1, 0, TIMEOUT}, {"rate", 1, 0, RATE}, {"even", 0, 0, EVEN}, {"in-turns", 0, 0, IN_TURNS},
    {"concurrency", 1, 0, CONCURRENCY}, {"lines", 1, 0, LINES}, {"block", 1, 0, BLOCK}, {"names", 1, 0, NAMES},
    {"timers", 0, 0, TIMERS}, {"late-ms", 1, 0, LATE_MS}, {"sources", 1, 0, SOURCES},
    {"threads", 1, 0, THREADS}, {"seed", 1, 0, SEED}, {"from-connect", 0, 0, FROM_CONNECT}, {0, 0, 0, 0}};

static void set_option(int code)
{
    switch (code) {
    case PORT: port = atoi(optarg); break;
    case MODE: mode = optarg; break;
    case COUNT: count = strtoull(optarg, NULL, 10); break;
    case SECONDS: seconds = atof(optarg); break;
    case TIMEOUT: timeout = atof(optarg); break;
    case RATE: rate = atof(optarg); break;
    case EVEN: even = 1; break;
    case FROM_CONNECT: from_connect = 1; break;
    case IN_TURNS: in_turns = 1; break;
    case CONCURRENCY: concurrency = atoi(optarg); break;
    case LINES: lines_each = atoi(optarg); break;
    case BLOCK: block = atoi(optarg); break;
    case NAMES: names = atoi(optarg); break;
    case TIMERS: timers = 1; break;
    case LATE_MS: late_ms = atof(optarg); break;
    case SOURCES: sources = atoi(optarg); break;
    case THREADS: threads = atoi(optarg); break;
    case SEED: seed = atoi(optarg); break;
    default: exit(2);
    }
}

static void check_options(void)
{
    set_mode();
    if (port < 1 || port > 65535 || threads < 1 || threads > 64 || concurrency < (unsigned)threads || sources < 0 ||
        sources > 60000 || seconds <= 0 || timeout <= 0 || rate < 0 || late_ms < 0 || lines_each < 1 ||
        lines_each > POOL_LINES || late_ms >= timeout * 1e3 || (in_turns && (!sends || holds || kept)) || block < 1 || block > POOL_LINES || names < 1 || names > 1000000) {
        fprintf(stderr, "generator: an option is out of its range\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct totals sum = {0};
    struct client *clients;

    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;)
        set_option(code);
    check_options();
    fill_pool();
    clients = calloc(threads, sizeof *clients);
    started_at = now();
    stop_at = started_at + (int64_t)(seconds * SECOND);
    for (int i = 0; i < threads; i++) {
        clients[i].index = i;
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]))
            fail("pthread_create");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(clients[i].thread, NULL);
        add(&sum, &clients[i].totals);
    }
    print(&sum);
    return sum.completed != sum.started;
}
