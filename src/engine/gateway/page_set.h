/* page_set.h — the pages that follow a first one, as one group: when that changes or is purged, they go
 * with it. A set is known by a hash of its first page's primary key; each of the others bears its tag. Two
 * sets that share a hash cost each other a fetch, and nothing else.
 *
 * Pages that bear a tag stay at their node, also with a shared tier: of a purge or a change elsewhere that
 * hears by the first page itself. */
#pragma once
#include "gateway_state.h"

enum { PAGE_SET_TAG_BYTES = 32 };

/* Never 0. */
uint32_t page_set_of(struct bytes primary_key);

/* Writes the tag of the set to `text`, and returns it. No field of an answer can name it. */
struct bytes page_set_tag(uint32_t set, char text[PAGE_SET_TAG_BYTES]);

/* From now on there are pages that bear its tag. Until then there is nothing to be dropped, and nothing is:
 * each purge of a tag costs some others' entries theirs. Any thread. */
void page_set_begin(struct gateway *gateway, uint32_t set);

/* From one gateway to the next on the same store (handover.c): puts what sets there are among the entries,
 * false if there are none; and takes that out again, or where it has not come along, takes it that there
 * may be any. */
bool page_sets_hand_over(struct gateway *gateway, int64_t now_mono_ms);
void page_sets_take_over(struct gateway *gateway, int64_t now_mono_ms);

/* Has the pages behind the first one, whose primary key is given, dropped or stale. Any thread. */
void page_set_drop(struct gateway *gateway, struct bytes primary_key, bool is_soft);

/* What is put under `key`, which begins with the primary key of so many bytes, has that body: if another is
 * there, or none, and it is a first page, the pages behind it are dropped. Before it is put. Any thread. */
void page_set_see_change(struct gateway *gateway, int64_t now_mono_ms, struct bytes key,
                         size_t primary_bytes, struct bytes body);
