/* place.h — where something was asked for. */
#pragma once

/* A line and column of the file, counted from 1. */
struct place {
    int line; /* 0: nowhere, it is the default; -1: on the command line */
    int column;
};
