/* A client's header of the PROXY protocol, as proxy_header.py reads it. What is not a good and whole one is left to Python. */

#ifndef STATSD_TCP_PROXY_HEADER_H
#define STATSD_TCP_PROXY_HEADER_H

#include <Python.h>

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "checksum.h"
#include "client.h"

enum {
    V1 = 1, /* versions of the PROXY protocol, as a set; the lengths are those of proxy_header.py */
    V2 = 2,
    LONGEST_V1 = 107,
    LONGEST_V2 = 4096,
    HEAD_V2 = 16,
    HEAD_TLV = 3,
    CRC32C = 3, /* the type of a TLV */
    INTERNET_4 = 1, /* families of addresses */
    INTERNET_6 = 2,
};

static const unsigned char SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";

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
static Py_ssize_t header_v2(const unsigned char *data, Py_ssize_t size, Client *client)
{
    static const Py_ssize_t addresses[] = {0, 12, 36, 216}; /* unspecified, IPv4, IPv6, Unix */
    if (size < HEAD_V2 || data[12] != (2 << 4 | 1) || data[13] >> 4 > 3 || (data[13] & 15) > 2)
        return 0;
    Py_ssize_t length = HEAD_V2 + (data[14] << 8 | data[15]), rest = HEAD_V2 + addresses[data[13] >> 4];
    if (length > size || length > LONGEST_V2 || length < rest)
        return 0;
    if (rest != HEAD_V2 && !tlvs_fit(data, length, rest))
        return 0;
    if (data[13] >> 4 == INTERNET_4)
        set_client_4(client, data + HEAD_V2);
    else if (data[13] >> 4 == INTERNET_6)
        set_client_6(client, data + HEAD_V2);
    return length;
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
static Py_ssize_t header_v1(const unsigned char *data, Py_ssize_t size, Client *client)
{
    const unsigned char *newline = memchr(data, '\n', (size_t)(size < LONGEST_V1 ? size : LONGEST_V1));
    char line[LONGEST_V1], *fields[7], *rest = line;
    unsigned char ours[ADDRESS], theirs[ADDRESS];
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
    if (family == AF_UNSPEC || inet_pton(family, fields[2], theirs) != 1 || inet_pton(family, fields[3], ours) != 1)
        return 0;
    if (!is_port(fields[4]) || !is_port(fields[5]))
        return 0;
    if (family == AF_INET)
        set_client_4(client, theirs);
    else
        set_client_6(client, theirs);
    return newline + 1 - data;
}

/* How long the header is that a client's data begin with, if it is whole and good; else 0, and Python judges. What it
 * says of the client is known then, if it says it. */
static Py_ssize_t header_length(const unsigned char *data, Py_ssize_t size, int versions, Client *client)
{
    client->is_known = 0;
    if (size >= (Py_ssize_t)sizeof SIGNATURE && !memcmp(data, SIGNATURE, sizeof SIGNATURE))
        return versions & V2 ? header_v2(data, size, client) : 0;
    return versions & V1 ? header_v1(data, size, client) : 0;
}

#endif
