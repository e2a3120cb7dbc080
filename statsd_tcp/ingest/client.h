/* Where a client is: an IPv6 address, an IPv4 address as the IPv6 address that stands for it, or a user of this machine
 * (who/layout.py). */

#ifndef STATSD_TCP_CLIENT_H
#define STATSD_TCP_CLIENT_H

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ADDRESS = 16,
    PREFIX = 12,
    NETWORK = 17, /* bytes of one: an address, and how many of its bits count */
};

static const unsigned char MAPPED[PREFIX] = {[10] = 0xFF, [11] = 0xFF};
static const unsigned char UNIX[PREFIX] = "unix";

typedef struct {
    int is_known;
    unsigned char address[ADDRESS];
} Client;

static void set_client_4(Client *client, const void *address)
{
    memcpy(client->address, MAPPED, PREFIX);
    memcpy(client->address + PREFIX, address, sizeof(struct in_addr));
    client->is_known = 1;
}

static void set_client_6(Client *client, const void *address)
{
    memcpy(client->address, address, ADDRESS);
    client->is_known = 1;
}

/* From what accept(2) or recvfrom(2) says. Of a peer on a Unix socket that is nothing. */
static void set_client(Client *client, const struct sockaddr_storage *peer)
{
    client->is_known = 0;
    if (peer->ss_family == AF_INET)
        set_client_4(client, &((const struct sockaddr_in *)peer)->sin_addr);
    else if (peer->ss_family == AF_INET6)
        set_client_6(client, &((const struct sockaddr_in6 *)peer)->sin6_addr);
}

/* Does a network hold an address? */
static int holds(const unsigned char *network, const unsigned char *address)
{
    int bits = network[NETWORK - 1], whole = bits / 8;
    unsigned char bits_left = (unsigned char)(0xFF00 >> bits % 8);
    return !memcmp(address, network, (size_t)whole) &&
           (whole == ADDRESS || !((address[whole] ^ network[whole]) & bits_left));
}

/* The user at the other end of a Unix socket's connection. */
static void set_client_user(Client *client, int connection)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    client->is_known = !getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if (client->is_known) {
        uint32_t uid = htonl(peer.uid);
        memcpy(client->address, UNIX, PREFIX);
        memcpy(client->address + PREFIX, &uid, sizeof uid);
    }
}

#endif
