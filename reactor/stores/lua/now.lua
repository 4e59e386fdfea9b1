return exact(clock())
