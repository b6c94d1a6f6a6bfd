"""The benchmark's workers without a process: the same requests and answers, as the same JSON."""

import json

from dimref.bench import worker, workers


class LocalWorker(workers.Worker):
    """A worker that answers in this process."""

    def __init__(self, threads):
        self.server = worker.Server()

    def ask(self, do, **arguments):
        text = json.dumps(worker.answer(self.server, json.dumps({"do": do, **arguments})), allow_nan=False)
        return workers.unpack(do, json.loads(text))

    def __exit__(self, *error):
        pass
