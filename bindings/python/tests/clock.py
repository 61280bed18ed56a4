"""A clock that moves when it is told to."""


class Clock:
    def __init__(self, seconds=1000.0):
        self.seconds = seconds

    def __call__(self):
        return self.seconds

    def advance(self, seconds):
        self.seconds += seconds
