"""Event logs of searches that never ran, for tests of everything that only reads logs."""

import dataclasses
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np

TASK = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
MAD_TASKS = ("in-context-recall", "noisy-in-context-recall", "selective-copying", "memorization")
HOSTILE = "<script>document.title='owned'</script></script></style><!-- ]]> \"'` &lt; \x1b[31mred\x1b[0m \u202etxet"


@dataclasses.dataclass(frozen=True)
class Shape:
    """What kind of search to make up. `priced` False logs usd null; `hostile` puts markup into every text."""

    nodes: int = 15
    seed: int = 0
    backend: str = "anthropic"
    priced: bool = True
    hostile: bool = False
    finished: bool = True
    repeats: int = 3
    output_lines: int = 40
    lower_is_better: bool = False


def canonical(record: dict) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sealed(record: dict) -> bytes:
    return canonical(record | {"crc": f"{zlib.crc32(canonical(record)):08x}"}) + b"\n"


class Log:
    def __init__(self, run_dir: Path):
        self.run_dir, self.records, self.mono = run_dir, [], 0.0
        (run_dir / "blobs").mkdir(parents=True)

    def add(self, kind: str, **members):
        self.mono += 0.002
        stamp = {"v": 1, "seq": len(self.records), "t": 1_700_000_000.0 + self.mono, "mono": round(self.mono, 3)}
        self.records.append(stamp | {"kind": kind} | members)

    def blob(self, text: str) -> str:
        name = hashlib.sha256(text.encode()).hexdigest()
        (self.run_dir / "blobs" / name).write_bytes(text.encode())
        return name

    def write(self) -> Path:
        (self.run_dir / "events.jsonl").write_bytes(b"".join(map(sealed, self.records)))
        return self.run_dir


def pattern(rng) -> str:
    parts, left = [], 16
    while left:
        run = int(rng.integers(1, min(4, left // 2) + 1)) if left > 1 else 1
        parts.append(f"{run}(A-M)" if left > 1 else "M")
        left -= 2 * run if left > 1 else 1
    return "-".join(parts)


def candidate_sha(files: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        data = files[path].encode()
        digest.update(path.encode() + b"\0" + str(len(data)).encode() + b"\0" + data)
    return digest.hexdigest()


def write(run_dir: Path, shape: Shape = Shape()) -> Path:
    """A greedy search over MAD patterns; returns the run directory."""
    return Search(Log(run_dir), shape).run()


class Search:
    def __init__(self, log: Log, shape: Shape):
        self.log, self.shape, self.rng = log, shape, np.random.default_rng(shape.seed)
        self.sign = -1 if shape.lower_is_better else 1
        self.files: dict[int, dict[str, str]] = {}
        self.fitness: dict[int, float] = {}
        self.buggy_leaves: dict[int, int] = {}
        self.best: int | None = None
        self.usd = 0.0

    def text(self, text: str) -> str:
        return f"{text} {HOSTILE}" if self.shape.hostile else text

    def run(self) -> Path:
        self.start()
        for node in range(self.shape.nodes):
            self.step(node)
        if not self.shape.finished:
            self.log.add(
                "action",
                node=self.shape.nodes,
                operator="improve",
                parents=[self.best],
                meta={},
                rng=[0, 0, self.shape.nodes],
                committed_upto=self.shape.nodes - 1,
            )
            return self.log.write()
        self.finish()
        return self.log.write()

    def start(self):
        steps = self.shape.nodes
        config = {
            "task": TASK,
            "agent": self.text("greedy-opus"),
            "seed": self.shape.seed,
            "profile": "smoke",
            "fitness": "evaluator",
            "llm": {"backend": self.shape.backend, "model": "claude-opus-4-5", "max_tokens": 16000},
            "policy": {"name": "greedy", "greedy": {"num_drafts": 5, "debug_prob": 1.0, "max_debug_depth": 20}},
            "budget": {"steps": steps, "wall_s": 86400.0, "usd": 20.0 if self.shape.priced else None},
            "workers": {"n": 1},
        }
        self.log.add(
            "run_start",
            run_id="3f2a9c01be",
            task=TASK,
            task_sha="ab" * 32,
            profile="smoke",
            agent=config["agent"],
            seed=self.shape.seed,
            config=config,
            prompt_version="1",
            code_version="0.1.0+g1a2b3c4",
            host_info={"devices": ["cpu:0"], "cpus": 2, "ram": 8 * 2**30, "jax": "0.10.2"},
            metric="Accuracy",
            lower_is_better=self.shape.lower_is_better,
            validation_is_test=False,
        )
        self.log.add("session_start", pid=4711, host="box", resumed=False, config_changes={})
        limits = {"steps": steps, "wall_s": 86400.0, "device_s": None, "tokens": None, "usd": config["budget"]["usd"]}
        self.log.add("budget", limits=limits, reason="start")
        self.log.add("warning", code="isolation", text="network not isolated: unshare: Operation not permitted")

    def choose(self, node: int) -> tuple[str, list[int]]:
        if node < 5:
            return "draft", []
        if self.buggy_leaves:
            return "debug", [sorted(self.buggy_leaves)[int(self.rng.integers(len(self.buggy_leaves)))]]
        if self.best is None:
            return "draft", []
        others = [good for good in self.fitness if good != self.best]
        if node % 17 == 16 and others:
            return "crossover", [self.best, others[-1]]
        return "improve", [self.best]

    def step(self, node: int):
        operator, parents = self.choose(node)
        depth = 1 + self.buggy_leaves.pop(parents[0]) if operator == "debug" else 0
        self.log.add(
            "action", node=node, operator=operator, parents=parents, meta={}, rng=[0, 0, node], committed_upto=node - 1
        )
        outcome = self.rng.random()
        if outcome < 0.06:
            self.unparsable(node)
            return
        self.propose(node, parents)
        failure = str(self.rng.choice(["interface", "nan", "timeout", "oom"])) if outcome < 0.26 else None
        if failure and depth < 4:
            self.buggy_leaves[node] = depth
        self.evaluate(node, failure, parents)

    def ask(self, node: int, attempt: int, text: str, stop_reason: str = "end_turn"):
        self.log.add(
            "llm_request",
            node=node,
            role="propose",
            attempt=attempt,
            prompt_sha=self.log.blob(self.text(f"prompt of node {node}")),
            backend=self.shape.backend,
            model="claude-opus-4-5",
            params={"max_tokens": 16000},
        )
        latency = float(self.rng.uniform(4, 30))
        self.log.mono += latency
        usage = {
            "input": 1200 + 40 * node,
            "output": int(self.rng.integers(300, 2000)),
            "cache_read": 6000 * (node > 0),
            "cache_write_5m": 6000 * (node == 0),
            "cache_write_1h": 0,
            "reasoning": 120,
        }
        usd = (
            5 * usage["input"] + 25 * usage["output"] + 0.5 * usage["cache_read"] + 6.25 * usage["cache_write_5m"]
        ) / 1e6
        self.log.add(
            "llm_result",
            node=node,
            role="propose",
            attempt=attempt,
            text=text,
            usage=usage,
            usd=usd if self.shape.priced else None,
            stop_reason=stop_reason,
            latency_s=latency,
            request_id=f"req_{node}_{attempt}",
            error=None,
        )

    def unparsable(self, node: int):
        for attempt in range(4):
            self.ask(node, attempt, self.text("I would rather talk about it."))
        message = self.text("the answer holds no file: put the artifact into one fenced block")
        self.log.add(
            "candidate",
            node=node,
            plan=self.text("I would rather talk about it."),
            files={},
            sha=None,
            edit_mode="full",
            parse_error=message,
            duplicate_of=None,
        )
        self.log.add(
            "node",
            node=node,
            status="failed",
            fitness=None,
            fitness_source="none",
            failure_class="parse",
            message=message,
        )

    def propose(self, node: int, parents: list[int]):
        files = {"submission.csv": f"architecture\n{pattern(self.rng)}\n"}
        if self.shape.hostile:
            files["<b>odd & name</b>.txt"] = HOSTILE * 3
        plan = self.text(
            "Attention early lets recall tasks bind keys to values; the MLPs between then have something to transform. "
            f"This candidate moves one attention layer towards the {'front' if node % 2 else 'back'} of the stack "
            "and keeps everything else of its parent, so that a change of the score has one cause. I expect recall to "
            "gain and memorization to stay."
        )
        self.files[node] = files
        self.ask(node, 0, self.text(plan))
        stored = {path: {"blob": self.log.blob(text)} if node % 3 == 0 else text for path, text in files.items()}
        self.log.add(
            "candidate",
            node=node,
            plan=plan,
            files=stored,
            sha=candidate_sha(files),
            edit_mode="edit" if parents else "full",
            parse_error=None,
            duplicate_of=None,
        )

    def evaluate(self, node: int, failure: str | None, parents: list[int]):
        checked = failure == "interface"
        self.execute(node, "check", 0, "fail" if checked else "ok", failure if checked else None, 0.15, {})
        value = None
        if not checked:
            value = None if failure else self.score(node, parents)
            status = {None: "ok", "timeout": "killed", "oom": "killed"}.get(failure, "fail")
            self.execute(
                node,
                "score_validation",
                0,
                status,
                failure,
                float(self.rng.uniform(6, 14)),
                self.result(value, "validation", 0),
            )
        summary = self.text(f"{failure}: the last line of the traceback" if failure else f"Accuracy {value:.4f}")
        self.log.add(
            "analysis", node=node, source="rule", is_buggy=bool(failure), summary=summary, reported_metric=None
        )
        message = (
            self.text(
                {"interface": "submission.csv row 1, column architecture: 15 layers, 16 required."}.get(
                    failure, f"ended with {failure}"
                )
            )
            if failure
            else ""
        )
        self.log.add(
            "node",
            node=node,
            status="buggy" if failure else "good",
            fitness=value,
            fitness_source="evaluator",
            failure_class=failure,
            message=message,
        )
        if value is not None and (self.best is None or self.sign * value > self.sign * self.fitness[self.best]):
            self.best = node
        if value is not None:
            self.fitness[node] = value

    def score(self, node: int, parents: list[int]) -> float:
        base = self.fitness.get(parents[0]) if parents else None
        if base is None:
            base = 0.42 + 0.1 * float(self.rng.random())
        room = base if self.sign < 0 else 1 - base
        gain = float(self.rng.normal(-0.03, 0.035)) * room
        return round(min(0.99, max(0.05, base + self.sign * gain)), 4)

    def result(self, value: float | None, split: str, seed: int) -> dict:
        tasks = {}
        if value is not None:
            tasks = {
                name: {
                    "micro": round(value + 0.05 * (i - 1.5), 4),
                    "macro": round(value + 0.04 * (i - 1.6), 4),
                    "loss": round(2 - value + 0.1 * i, 4),
                    "status": "ok",
                }
                for i, name in enumerate(MAD_TASKS)
            }
        curve = [[epoch, round(3.0 * 0.8**epoch, 4)] for epoch in range(12)]
        return {
            "metric": "Accuracy",
            "value": value,
            "split": split,
            "stage": "all",
            "seed": seed,
            "profile": "smoke",
            "failure_class": None,
            "message": "",
            "wall_s": 9.1,
            "train_s": 7.2,
            "device_s": 9.1,
            "n_params": 1_234_567,
            "steps": 96,
            "curve": curve,
            "extra": {
                "canonical": "2(A-M)-4(A-M)-2(A-M)",
                "proxy": {"tasks": tasks, "engine": "cpu-vmap", "cached": False, "device": "cpu", "compile_s": 2.1},
            },
        }

    def execute(self, node: int, phase: str, seed: int, status: str, failure: str | None, wall_s: float, result: dict):
        isolation = {
            "pid_ns": True,
            "net": False,
            "files": True,
            "memory": "rlimit+watchdog",
            "notes": ["network not isolated: unshare: Operation not permitted"],
        }
        self.log.add(
            "exec_start",
            node=node,
            phase=phase,
            seed=seed,
            argv=["python", "evaluate.py", "--stage", "all"],
            limits={"wall_s": 120.0, "memory_bytes": 2**33},
            isolation=isolation,
            device="cpu:0",
            pid=5000 + node,
            pid_starttime=123456,
        )
        self.log.mono += wall_s
        output = "".join(
            f"[{phase}] epoch {i:3d}  loss {3.0 * 0.97**i:.4f}  accuracy {0.4 + 0.003 * i:.4f}\n"
            for i in range(self.shape.output_lines)
        )
        output += (
            self.text(
                "done" if status == "ok" else "Traceback (most recent call last):\n  ...\nValueError: loss is nan"
            )
            + "\n"
        )
        self.log.add(
            "exec_end",
            node=node,
            phase=phase,
            seed=seed,
            status=status,
            failure_class=failure,
            exit_code=None if status == "killed" else {"ok": 0}.get(status, 2),
            signal=9 if status == "killed" else None,
            wall_s=wall_s,
            cpu_s=1.8 * wall_s,
            device_s=wall_s,
            peak_bytes=700 * 2**20,
            head=output[:2500],
            tail=output[-2500:] if len(output) > 2500 else "",
            output_blob=self.log.blob(output),
            result=result,
        )

    def finish(self):
        if self.best is not None:
            self.log.add("submit", node=self.best, rule="best_validation", fitness=self.fitness[self.best])
        self.log.add("stop", reason="steps", detail=f"{self.shape.nodes} of {self.shape.nodes} steps used")
        self.log.add("session_end", exit_reason="steps")
        if self.best is None:
            return
        self.log.mono = 0.0
        self.log.add("session_start", pid=4712, host="box", resumed=True, config_changes={}, purpose="test")
        running, best = [], None
        for node, fitness in self.fitness.items():
            if best is None or self.sign * fitness > self.sign * best:
                running, best = [*running, node], fitness
        first = running[0]
        for node in running:
            for seed in range(self.shape.repeats if node in (first, self.best) else 1):
                self.test(node, seed)
        self.log.add("session_end", exit_reason="scored")

    def test(self, node: int, seed: int):
        value = round(self.fitness[node] - 0.01 * self.sign + float(self.rng.normal(0, 0.006)), 4)
        self.execute(node, "score_test", seed, "ok", None, 14.0, self.result(value, "test", seed))
        self.log.add(
            "test_result",
            node=node,
            seed=seed,
            value=value,
            status="ok",
            failure_class=None,
            wall_s=14.0,
            device_s=14.0,
        )
