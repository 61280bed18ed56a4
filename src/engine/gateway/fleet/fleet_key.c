#include "fleet_key.h"
#include <openssl/evp.h>
#include <stdio.h>

/* The first 16 bytes of the SHA-256; of two texts with one number nobody makes a pair by chance. */
static bool digest(struct bytes text, uint64_t numbers[2])
{
    unsigned char all[EVP_MAX_MD_SIZE];

    if (EVP_Digest(text.data, text.size, all, NULL, EVP_sha256(), NULL) != 1)
        return false;
    numbers[0] = numbers[1] = 0;
    for (size_t i = 0; i < 16; i++) /* the same on every machine */
        numbers[i / 8] = numbers[i / 8] << 8 | all[i];
    return true;
}

bool fleet_id_of(struct fleet_id *id, struct bytes key, size_t primary_size)
{
    uint64_t numbers[2];

    *id = (struct fleet_id){0};
    if (primary_size == 0 || memchr(key.data, '\n', primary_size) != NULL ||
        !digest(bytes_first(key, primary_size), numbers))
        return false;
    id->url = numbers[0];
    if (key.size == primary_size)
        return true;
    if (!digest(key, id->variant))
        return false;
    id->variant[1] |= id->variant[0] == 0; /* 0 and 0 would say that it is of none */
    return true;
}

bool fleet_id_of_turn(struct fleet_id *id, struct bytes name)
{
    uint64_t numbers[2];

    *id = (struct fleet_id){0};
    if (!digest(name, numbers))
        return false;
    id->url = numbers[0];
    return true;
}

uint64_t fleet_generation_of(struct bytes key, size_t primary_size)
{
    uint64_t generation = 0;

    if (key.size >= primary_size + 1 + sizeof generation)
        memcpy(&generation, key.data + primary_size + 1, sizeof generation);
    return generation;
}

void fleet_key_write(struct fleet_key *key, const struct fleet_id *id, char kind)
{
    int size;

    if (fleet_id_is_of_variant(id) && kind != FLEET_NAMES)
        size = snprintf(key->text, sizeof key->text, "nh:{%016llx}:%c:%016llx%016llx",
                        (unsigned long long)id->url, kind, (unsigned long long)id->variant[0],
                        (unsigned long long)id->variant[1]);
    else
        size = snprintf(key->text, sizeof key->text, "nh:{%016llx}:%c", (unsigned long long)id->url, kind);
    key->size = (size_t)size;
}

void fleet_key_write_chunk(struct fleet_key *key, const struct fleet_id *id, uint64_t number,
                           uint32_t index)
{
    key->size = (size_t)snprintf(key->text, sizeof key->text, "nh:{%016llx}:c:%016llx:%u",
                                 (unsigned long long)id->url, (unsigned long long)number, index);
}
