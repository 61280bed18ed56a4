/* fleet_watch.h — being told that the fleet has another answer to a URL than it had: another node has
 * fetched one, or has had the same one confirmed, which makes it another, too. Of a URL whose answers vary
 * it is told only that they vary in another way. Purges are not told here: they are
 * in the log, which whoever watches has read. */
#pragma once
#include "fleet.h"

struct fleet_watch; /* opaque: fleet_watch.c */

/* Has `changed` called on the worker's thread, never from inside this: of what is there at first, and of
 * each change, those that come close together once. While the tier is away nothing is told; once it is
 * back, what has changed meanwhile. Null if there is no memory. */
struct fleet_watch *fleet_watch_begin(struct fleet_worker *fleet, const struct fleet_id *url,
                                      void (*changed)(void *owner), void *owner);

/* `changed` will not be called any more. On the worker's thread; before fleet_part; not from inside
 * `changed`. */
void fleet_watch_end(struct fleet_watch *watch);
