"""A local stand-in for the part of W&B's server that `wandb agent` calls: `sweep_backend.py SWEEP.yaml COUNT`.

It prints its port, answers the agent's GraphQL calls, takes the suggestions from W&B's own library `sweeps`, and lets
the agent end after COUNT runs. Runs log offline. Uploads, bayesian search and early termination are not supported.
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
    """A sweep that starts its runs one after another."""

    def __init__(self, text: str, count: int) -> None:
        self.text, self.count = text, count
        self.sweep = yaml.safe_load(text)
        self.space = {name: self.sweep[name] for name in ("method", "metric", "parameters", "early_terminate")}
        self.runs: dict[str, sweeps.SweepRun] = {}

    def heartbeat(self, running: dict[str, bool]) -> list[dict[str, Any]]:
        """Return the commands for an agent, given which of its runs are still running."""
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
        """Return the answer of the server to a GraphQL operation."""
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
    """Answers GraphQL requests; accepts all other requests and ignores their content."""

    search: Search

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

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
