/* page_set.h — the pages that follow a first one, as one group: when that changes or is purged, they go
 * with it. A set is known by a hash of its first page's primary key; each of the others bears its tag. Two
 * sets that share a hash cost each other a fetch, and nothing else. */
#pragma once
#include "gateway_state.h"

enum { PAGE_SET_TAG_BYTES = 32 };

/* Never 0. The same at all nodes. */
uint32_t page_set_of(struct bytes primary_key);

/* Writes the tag of the set to `text`, and returns it. No field of an answer can name it. */
struct bytes page_set_tag(uint32_t set, char text[PAGE_SET_TAG_BYTES]);

/* From now on there are pages that bear a tag: until then nothing is to be dropped. Any thread. */
void page_set_begin(struct gateway *gateway);

/* Has the pages behind the first one, whose primary key is given, dropped or stale: at all nodes, or here
 * alone, where the others hear of it by other ways. Any thread. */
void page_set_drop(struct gateway *gateway, struct bytes primary_key, bool is_soft, bool tells_fleet);
