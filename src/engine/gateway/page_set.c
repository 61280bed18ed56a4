#include "page_set.h"
#include "base/hash.h"
#include "entry_watch.h"
#include <stdio.h>
#include <stdlib.h>

uint32_t page_set_of(struct bytes primary_key)
{
    uint32_t set = (uint32_t)hash_bytes(primary_key, 0);

    return set != 0 ? set : 1;
}

struct bytes page_set_tag(uint32_t set, char text[PAGE_SET_TAG_BYTES])
{
    int size =
        snprintf(text, PAGE_SET_TAG_BYTES, "page set\n%08x", set); /* no field has a line's end in it */

    return bytes_of(text, (size_t)size);
}

/* ---- which there may be -------------------------------------------------------------------------- */

static uint64_t bit_of(uint32_t set) { return UINT64_C(1) << set % 64; }

static _Atomic uint64_t *word_of(struct gateway *gateway, uint32_t set)
{
    return &gateway->page_sets[set / 64 % PAGE_SET_WORDS];
}

void page_set_begin(struct gateway *gateway, uint32_t set)
{
    atomic_fetch_or(word_of(gateway, set), bit_of(set));
}

static bool may_be(struct gateway *gateway, uint32_t set)
{
    return (atomic_load_explicit(word_of(gateway, set), memory_order_relaxed) & bit_of(set)) != 0;
}

/* ---- from life to life --------------------------------------------------------------------------- */

/* No request has this key: see handover.c. */
static nh_key sets_key(const struct gateway *gateway) { return gateway_key(gateway, BYTES("\npage sets")); }

bool page_sets_hand_over(struct gateway *gateway, int64_t now_mono_ms)
{
    struct buffer words = {0};
    uint64_t any = 0;

    for (size_t i = 0; i < PAGE_SET_WORDS; i++) {
        uint64_t word = atomic_load(&gateway->page_sets[i]);
        any |= word;
        buffer_append(&words, bytes_of((const char *)&word, sizeof word));
    }
    if (any != 0 && !words.failed)
        nh_put(gateway->store, now_mono_ms, sets_key(gateway), (nh_bytes){words.data, words.size}, NULL,
               NULL);
    buffer_fini(&words);
    return any != 0;
}

void page_sets_take_over(struct gateway *gateway, int64_t now_mono_ms)
{
    uint64_t *words = malloc(PAGE_SET_WORDS * sizeof *words);
    size_t size = 0;
    bool has_come = words != NULL &&
                    nh_get(gateway->store, now_mono_ms, sets_key(gateway), words,
                           PAGE_SET_WORDS * sizeof *words, &size) == NH_OK &&
                    size == PAGE_SET_WORDS * sizeof *words;

    for (size_t i = 0; i < PAGE_SET_WORDS; i++)
        atomic_store(&gateway->page_sets[i], has_come ? words[i] : UINT64_MAX);
    nh_delete(gateway->store, now_mono_ms, sets_key(gateway));
    free(words);
}

/* ---- their end ----------------------------------------------------------------------------------- */

void page_set_drop(struct gateway *gateway, struct bytes primary_key, bool is_soft)
{
    uint32_t set = page_set_of(primary_key);
    char text[PAGE_SET_TAG_BYTES];
    struct bytes tag;

    if (!may_be(gateway, set))
        return;
    tag = page_set_tag(set, text);
    nh_purge_tag(gateway->store, (nh_bytes){tag.data, tag.size}, is_soft ? NH_PURGE_SOFT : NH_PURGE_DROP);
    entries_changed(gateway);
}

void page_set_see_change(struct gateway *gateway, int64_t now_mono_ms, struct bytes key,
                         size_t primary_bytes, struct bytes body)
{
    struct bytes primary_key = bytes_first(key, primary_bytes);
    struct stored_response before;
    bool is_same = false;
    nh_value value;

    if (!may_be(gateway, page_set_of(primary_key)))
        return;
    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, key), &value) == NH_OK) {
        is_same =
            value_response(gateway, key, &value, &before) && value_has_body(gateway, &value, &before, body);
        nh_release(gateway->store, &value);
    }
    if (!is_same)
        page_set_drop(gateway, primary_key, false);
}
