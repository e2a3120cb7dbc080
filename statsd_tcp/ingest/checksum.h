/* Checksums by tables: CRC-32 as zlib makes it, for the journal, and CRC-32C, for headers of the PROXY protocol.
 *
 * Long data go eight bytes at a time ("slicing-by-8", Kounavis and Berry, Intel, 2006): table N has what a byte becomes
 * that N more bytes follow. Short data go byte by byte: of the eight tables little is in the processor's cache then.
 */

#ifndef STATSD_TCP_CHECKSUM_H
#define STATSD_TCP_CHECKSUM_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    SLICES = 8,
    WORTH_SLICING = 16, /* bytes */
};

typedef uint32_t CrcTables[SLICES][256];

static CrcTables crc32_tables, crc32c_tables;

static void fill_crc_tables(CrcTables tables, uint32_t polynomial)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? polynomial ^ (value >> 1) : value >> 1;
        tables[0][byte] = value;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (int byte = 0; byte < 256; byte++)
            tables[slice][byte] = tables[0][tables[slice - 1][byte] & 0xFF] ^ (tables[slice - 1][byte] >> 8);
}

static void prepare_checksums(void)
{
    fill_crc_tables(crc32_tables, 0xEDB88320u);
    fill_crc_tables(crc32c_tables, 0x82F63B78u);
}

/* Go on with a checksum; begin and end with all bits inverted. */
static uint32_t crc_of(uint32_t tables[SLICES][256], uint32_t crc, const unsigned char *data, size_t length)
{
    const unsigned char *end = data + length;
    if (length >= WORTH_SLICING)
        for (; end - data >= SLICES; data += SLICES) {
            uint32_t low, high;
            memcpy(&low, data, sizeof low);
            memcpy(&high, data + sizeof low, sizeof high);
            low = le32toh(low) ^ crc;
            high = le32toh(high);
            crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^
                  tables[4][low >> 24] ^ tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^
                  tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
        }
    for (; data < end; data++)
        crc = tables[0][(crc ^ *data) & 0xFF] ^ (crc >> 8);
    return crc;
}

#endif
