"""A stand-in on this machine for the part of W&B's server that `wandb agent` asks: `sweep_backend.py SWEEP.yaml COUNT`.

It answers the agent's GraphQL calls, takes the suggestions from W&B's own library `sweeps`, ends after COUNT runs, and
prints its port. Runs log offline: uploads, the state of a bayesian search and early termination are not there.
"""

import json
import re
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import sweeps
import yaml


class Search:
    """The runs of a sweep, one at a time."""

    def __init__(self, text: str, count: int) -> None:
        self.text, self.count = text, count
        self.sweep = yaml.safe_load(text)
        self.space = {name: self.sweep[name] for name in ("method", "metric", "parameters", "early_terminate")}
        self.runs: dict[str, sweeps.SweepRun] = {}

    def heartbeat(self, running: dict[str, bool]) -> list[dict[str, Any]]:
        """Commands for an agent that says which of its runs are running."""
        for name, run in self.runs.items():
            if run.state == sweeps.RunState.running and running.get(name):
                return []
            run.state = sweeps.RunState.finished
        run = sweeps.next_run(sweeps.SweepConfig(self.space), list(self.runs.values()))
        if len(self.runs) == self.count or run is None:
            return [{"type": "exit"}]
        run.state, run.name = sweeps.RunState.running, uuid.uuid4().hex[:8]
        self.runs[run.name] = run
        return [{"type": "run", "run_id": run.name, "program": self.sweep["program"], "args": run.config}]

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What the server says to a GraphQL operation."""
        if operation == "SweepWithRuns":
            described = {"name": variables["sweep"], "method": self.sweep["method"], "config": self.text}
            return {"project": {"sweep": {"id": "s", "state": "RUNNING", "runs": {"edges": []}, **described}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": "agent"}}}
        if operation == "Heartbeat":
            commands = json.dumps(self.heartbeat(json.loads(variables.get("runState") or "{}")))
            return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": commands}}
        user = {"id": "u", "username": "user", "entity": "entity", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": user} if operation in ("Viewer", "GetViewer") else {}


class Handler(BaseHTTPRequestHandler):
    """GraphQL is answered, all else is taken and forgotten."""

    search: Search

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = b""
        if self.path.rstrip("/") == "/graphql":
            asked = json.loads(body)
            operation = asked.get("operationName") or re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])[1]
            answer = json.dumps({"data": self.search.answer(operation, asked.get("variables") or {})}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    Handler.search = Search(Path(sys.argv[1]).read_text(), int(sys.argv[2]))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
