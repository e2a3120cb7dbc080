/* Reads datagrams of UDP, many with one call of the kernel, which may have kept several together (UDP_GRO, see
 * kernel/segments.py). */

#ifndef STATSD_TCP_SEGMENTS_H
#define STATSD_TCP_SEGMENTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PIECES = 16,           /* read at once; with 64 a datagram takes as long */
    LARGEST_PIECE = 65536, /* bytes: more than UDP's largest datagram, and than what is kept together */
    UDP_GRO_OPTION = 104,
};

/* What one call has read. Memory that no piece was ever read into is never used. */
static struct {
    struct mmsghdr messages[PIECES];
    struct iovec places[PIECES];
    struct sockaddr_storage peers[PIECES];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } told[PIECES];
    unsigned char data[PIECES][LARGEST_PIECE];
} pieces;

/* Read up to so many pieces, with where they are from if that is wanted. Returns their number, or -1. */
static int receive_pieces(int port, int most, int with_peers)
{
    for (int at = 0; at < most; at++) {
        pieces.places[at] = (struct iovec){pieces.data[at], LARGEST_PIECE};
        pieces.peers[at].ss_family = AF_UNSPEC;
        pieces.messages[at].msg_hdr = (struct msghdr){
            .msg_name = with_peers ? &pieces.peers[at] : NULL,
            .msg_namelen = with_peers ? sizeof pieces.peers[at] : 0,
            .msg_iov = &pieces.places[at],
            .msg_iovlen = 1,
            .msg_control = &pieces.told[at],
            .msg_controllen = sizeof pieces.told[at],
        };
    }
    return recvmmsg(port, pieces.messages, (unsigned)most, MSG_DONTWAIT, NULL);
}

/* How many bytes each datagram of a piece has, but for the last. */
static size_t segment_size(int at)
{
    size_t size = pieces.messages[at].msg_len;
    struct cmsghdr *told = CMSG_FIRSTHDR(&pieces.messages[at].msg_hdr);
    if (told && told->cmsg_level == IPPROTO_UDP && told->cmsg_type == UDP_GRO_OPTION) {
        int each;
        memcpy(&each, CMSG_DATA(told), sizeof each);
        if (each > 0 && (size_t)each < size)
            return (size_t)each;
    }
    return size;
}

/* Put the datagrams of a piece one after the other, each with the newline that it may lack. Returns how many bytes that
 * are, at most twice those of the piece, and counts them. An empty piece is a datagram. */
static size_t put_datagrams(unsigned char *to, int at, int *count)
{
    const unsigned char *data = pieces.data[at];
    size_t left = pieces.messages[at].msg_len, each = segment_size(at), end = 0;
    do {
        size_t size = left < each ? left : each;
        memcpy(to + end, data, size);
        end += size;
        if (size && to[end - 1] != '\n')
            to[end++] = '\n';
        data += size;
        left -= size;
        ++*count;
    } while (left);
    return end;
}

#endif
