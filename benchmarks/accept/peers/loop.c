/* The yardstick: the shortest C servers that still do the whole job, one thread, one listener, full backlog.
 *
 *     loop PORT MODE        PORT 0 lets the kernel choose; prints "ready PORT" when clients may come
 *
 *     close   accept, count, close: the cheapest way to count a connection
 *     once    accept, count, one recv that does not wait, close: what a counting port does that wants clean ends
 *     read    accept, read to the end, close, one connection after the other: right for clients that send at once
 *     epoll   the same work event-driven: a client that sends late holds up nobody
 *     udp     receive datagrams, with a large buffer, and look at nothing in them
 *
 * On SIGTERM it prints its totals as one line of JSON and ends with status 0 (clients that still queue are reset).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define RECEIVE_BUFFER (8 << 20)

static unsigned long long connections, bytes, resets;
static volatile sig_atomic_t stopping;
static int listener;
static char buffer[1 << 16];

static void fail(const char *what)
{
    fprintf(stderr, "loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A signal between a test of the flag and accept() would be slept through. A listener that was shut down makes
 * accept() fail with EINVAL at once and from then on, so that nothing has to be tested per connection. */
static void on_term(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    stopping = 1;
    shutdown(listener, SHUT_RDWR);
    errno = saved;
}

static int somaxconn(void)
{
    int value = 4096;
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");

    if (file) {
        if (fscanf(file, "%d", &value) != 1)
            value = 4096;
        fclose(file);
    }
    return value;
}

static int open_listener(int port, int kind)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, room = RECEIVE_BUFFER, fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on))
        fail("socket");
    if (kind == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&where, sizeof where) || (kind == SOCK_STREAM && listen(fd, somaxconn())))
        fail("bind");
    return fd;
}

static void announce(int fd)
{
    struct sockaddr_in where;
    socklen_t size = sizeof where;

    getsockname(fd, (struct sockaddr *)&where, &size);
    printf("ready %d\n", ntohs(where.sin_port));
    fflush(stdout);
}

/* The next connection, or -1: none for now, or stopping. */
static int next_connection(int flags)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC);
        if (fd >= 0) {
            connections++;
            return fd;
        }
        if (errno == EAGAIN || stopping)
            return -1;
        if (errno != EINTR && errno != ECONNABORTED)
            fail("accept");
    }
}

/* Reads what is there: 1 when the client has ended (or reset), 0 when more may come. */
static int read_some(int fd)
{
    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got > 0)
            bytes += got;
        else if (got == 0)
            return 1;
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR || stopping) {
            resets++;
            return 1;
        }
    }
}

static void serve_close(void)
{
    for (int fd; (fd = next_connection(0)) >= 0;)
        close(fd);
}

static void serve_once(void)
{
    for (int fd; (fd = next_connection(0)) >= 0; close(fd)) {
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0)
            bytes += got;
    }
}

static void serve_read(void)
{
    for (int fd; (fd = next_connection(0)) >= 0; close(fd))
        read_some(fd);
}

static void watch(int poll, int fd)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted))
        fail("epoll_ctl");
}

static void serve_epoll(void)
{
    struct epoll_event events[EVENTS];
    int poll = epoll_create1(EPOLL_CLOEXEC);

    fcntl(listener, F_SETFL, O_NONBLOCK);
    watch(poll, listener);
    while (!stopping) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (read_some(fd))
                    close(fd);
                continue;
            }
            while ((fd = next_connection(SOCK_NONBLOCK)) >= 0) {
                if (read_some(fd))
                    close(fd);
                else
                    watch(poll, fd);
            }
        }
    }
}

/* shutdown() does not wake up a reader of datagrams that has no peer: it fails with ENOTCONN. A timeout does. */
static void serve_udp(void)
{
    struct timeval pause = {.tv_usec = 100000};

    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
    while (!stopping) {
        ssize_t got = recv(listener, buffer, sizeof buffer, 0);
        if (got > 0)
            bytes += got;
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*serve)(void); } modes[] = {
        {"close", serve_close}, {"once", serve_once}, {"read", serve_read}, {"epoll", serve_epoll},
        {"udp", serve_udp}};
    struct sigaction action = {.sa_handler = on_term};

    for (size_t i = 0; argc == 3 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[2], modes[i].name))
            continue;
        listener = open_listener(atoi(argv[1]), modes[i].serve == serve_udp ? SOCK_DGRAM : SOCK_STREAM);
        sigaction(SIGTERM, &action, NULL);
        announce(listener);
        modes[i].serve();
        printf("{\"connections\": %llu, \"bytes\": %llu, \"resets\": %llu}\n", connections, bytes, resets);
        return 0;
    }
    fprintf(stderr, "usage: loop PORT close|once|read|epoll|udp\n");
    return 2;
}
