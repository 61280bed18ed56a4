/* pin.h — a value that stays where it is while Python looks at it. */
#pragma once
#include "binding.h"

/* A memoryview of a borrowed value in one piece, which is released with the view; at once if there is none.
 */
PyObject *pin_view(struct cache *cache, nh_value *value);
