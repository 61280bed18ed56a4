/* sort.h — items in the order that a query asks for. */
#pragma once
#include "documents_state.h"

/* Sorts `items` by the query's keys; those that are equal keep their order. False, with the order as it
 * was, without memory. */
bool items_sort(const struct query *query, struct item **items, size_t count);
