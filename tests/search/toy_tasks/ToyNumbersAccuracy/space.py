"""Numbers between 0 and 1; some of them fail."""


def _file(x):
    return {"answer.txt": f"x={x:.6f}\n" + ("boom\n" if round(x * 1e6) % 4 == 0 else "")}


def sample(rng):
    return _file(rng.random())


def mutate(files, rng):
    x = float(files["answer.txt"].split("\n")[0][2:])
    return _file(min(1.0, max(0.0, x + 0.1 * (rng.random() - 0.5))))


def crossover(a, b, rng):
    return mutate(a, rng) if rng.random() < 0.5 else mutate(b, rng)


def canonical(files):
    return files.get("answer.txt")
