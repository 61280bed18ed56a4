/* compat.h — json-server's two generations, which mean different things by the same request here and there.
 */
#pragma once

enum compat { COMPAT_1, COMPAT_0_17 };
