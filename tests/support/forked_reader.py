"""The process that reads HDF5 as a fork of the test's own: the same limits, without half a second of imports."""

import contextlib
import os

from eventspeech.data.sources import hdf5_reader


class ForkedReader:
    """What :func:`eventspeech.data.sources.hdf5_process.start` returns, as far as it is used."""

    serve = staticmethod(hdf5_reader.serve)

    def __init__(self, request):
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading, "rb")
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(reading)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the C library's last words
                hdf5_reader.limit(request["cpu_s"], request["memory_bytes"])
                with os.fdopen(writing, "wb") as out, contextlib.suppress(BrokenPipeError):
                    self.serve(request, out)
            finally:
                os._exit(0)
        os.close(writing)

    def kill(self):
        if self.status is None:
            os.kill(self.pid, 9)

    def wait(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status
