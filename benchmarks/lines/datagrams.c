/* Sends StatsD lines in datagrams, many with one system call, and says how many it were.
 *
 *     datagrams --port P | --path PATH [options]      prints one line of JSON
 *
 * --port sends over UDP to 127.0.0.1 from one socket, as one client does: a UDP datagram that finds the receiver's
 * buffer full is lost, and nobody is told. --path sends to a Unix datagram socket, and waits where it is full.
 *
 * --lines L in each datagram (default 1), --names N series (default 1000), --timers instead of counters, --segments N
 * datagrams in one send that the kernel cuts apart (UDP_SEGMENT; default 1),
 * --rate R datagrams a second (default: as fast as it goes), --seconds S, --count N datagrams, --seed N.
 *
 * The lines are those of the generator for connections: bench.c000123:1|c, and bench.t000123:456|ms with 900 values.
 * Exit status 0, 1 when sending failed, 2 for wrong options.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define POOL_LINES 65536
#define AT_ONCE 32           /* messages in one sendmmsg(), of a datagram each or of a few segments */
#define MOST_SEGMENTS 64     /* of the kernels before Linux 6.9 */
#define LARGEST 65507        /* bytes of a message */

static int port, timers;
static unsigned lines_each = 1, names = 1000, segments = 1, seed = 1;
static uint64_t count = UINT64_MAX;
static double rate, seconds = 3;
static const char *path;

static int64_t sending;      /* nanoseconds of CPU in sendmmsg(): the rest keeps the pace */

static char *pool;
static size_t line_size, size_each, message_lines;

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void fail(const char *what, int status)
{
    fprintf(stderr, "datagrams: %s: %s\n", what, strerror(errno));
    exit(status);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A ring of lines, the first ones again behind the last: any message's lines stand together somewhere. */
static void fill_pool(void)
{
    char line[64];
    uint64_t dice = 0x9e3779b97f4a7c15ULL + seed;

    line_size = timers ? strlen("bench.t000000:100|ms\n") : strlen("bench.c000000:1|c\n");
    size_each = line_size * lines_each;
    message_lines = (size_t)segments * lines_each;
    pool = malloc(line_size * (POOL_LINES + message_lines));
    for (size_t i = 0; pool && i < POOL_LINES; i++) {
        unsigned name = next_random(&dice) % names, value = 100 + next_random(&dice) % 900;
        if (timers)
            snprintf(line, sizeof line, "bench.t%06u:%u|ms\n", name, value);
        else
            snprintf(line, sizeof line, "bench.c%06u:1|c\n", name);
        memcpy(pool + i * line_size, line, line_size);
    }
    if (!pool)
        fail("malloc", 1);
    memcpy(pool + POOL_LINES * line_size, pool, line_size * message_lines);
}

static int connected_socket(void)
{
    struct sockaddr_in internet = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    int fd = socket(path ? AF_UNIX : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    internet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (path)
        strncpy(local.sun_path, path, sizeof local.sun_path - 1);
    if (fd < 0 || (path ? connect(fd, (struct sockaddr *)&local, sizeof local)
                        : connect(fd, (struct sockaddr *)&internet, sizeof internet)))
        fail("connect", 1);
    if (segments > 1 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){(int)size_each}, sizeof(int)))
        fail("UDP_SEGMENT", 1);
    return fd;
}

static uint64_t due(int64_t since)
{
    uint64_t may = rate ? (uint64_t)((double)(now() - since) / SECOND * rate) : count;

    return may < count ? may : count;
}

static uint64_t send_all(int fd, int64_t began)
{
    struct mmsghdr messages[AT_ONCE] = {{{0}}};
    struct iovec pieces[AT_ONCE];
    uint64_t sent = 0, may;
    size_t at = 0;

    while (sent < count && now() - began < (int64_t)(seconds * SECOND)) {
        struct timespec nap = {.tv_nsec = 100000};
        may = (due(began) - sent) / segments;
        if (!may) {
            nanosleep(&nap, NULL);
            continue;
        }
        unsigned number = may < AT_ONCE ? may : AT_ONCE;
        for (unsigned i = 0; i < number; i++) {
            size_t first = (at + i * message_lines) % POOL_LINES;
            pieces[i] = (struct iovec){pool + first * line_size, size_each * segments};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
        }
        int64_t before = cpu_now();
        int went = sendmmsg(fd, messages, number, 0);
        sending += cpu_now() - before;
        if (went < 0 && errno != ECONNREFUSED)
            fail("sendmmsg", 1);
        if (went > 0) {
            sent += (uint64_t)went * segments;
            at = (at + (size_t)went * message_lines) % POOL_LINES;
        }
    }
    return sent;
}

enum option_code { PORT = 1, PATH, LINES, NAMES, TIMERS, SEGMENTS, RATE, SECONDS, COUNT, SEED };

static const struct option options[] = {
    {"port", 1, 0, PORT}, {"path", 1, 0, PATH}, {"lines", 1, 0, LINES}, {"names", 1, 0, NAMES},
    {"timers", 0, 0, TIMERS}, {"segments", 1, 0, SEGMENTS}, {"rate", 1, 0, RATE}, {"seconds", 1, 0, SECONDS}, {"count", 1, 0, COUNT},
    {"seed", 1, 0, SEED}, {0, 0, 0, 0}};

static void set_option(int code)
{
    switch (code) {
    case PORT: port = atoi(optarg); break;
    case PATH: path = optarg; break;
    case LINES: lines_each = atoi(optarg); break;
    case NAMES: names = atoi(optarg); break;
    case TIMERS: timers = 1; break;
    case SEGMENTS: segments = atoi(optarg); break;
    case RATE: rate = atof(optarg); break;
    case SECONDS: seconds = atof(optarg); break;
    case COUNT: count = strtoull(optarg, NULL, 10); break;
    case SEED: seed = atoi(optarg); break;
    default: exit(2);
    }
}

int main(int argc, char **argv)
{
    struct rusage used;
    int64_t began;
    uint64_t sent;
    double elapsed, used_s;
    int fd;

    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;)
        set_option(code);
    if ((!path && (port < 1 || port > 65535)) || lines_each < 1 || lines_each > 2000 || names < 1 || names > 1000000 ||
        rate < 0 || seconds <= 0 || segments < 1 || segments > MOST_SEGMENTS ||
        strlen("bench.t000000:100|ms\n") * lines_each * segments > LARGEST) {
        fprintf(stderr, "datagrams: an option is missing or out of its range\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1);
    fill_pool();
    fd = connected_socket();
    began = now();
    sent = send_all(fd, began);
    elapsed = (double)(now() - began) / SECOND;
    getrusage(RUSAGE_SELF, &used);
    used_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"datagrams\": %lu, \"lines\": %lu, \"bytes\": %lu, \"elapsed_s\": %.6f, \"cpu_s\": %.6f, "
           "\"pacing_s\": %.6f}\n",
           sent, sent * lines_each, sent * size_each, elapsed, used_s, used_s - (double)sending / SECOND);
    return 0;
}
