"""What goes wrong on machines: kills at any moment, full disks, damaged inputs, two runs at once.

After a kill of all processes nothing but Snakemake's own --unlock is needed, and the results are
those of an undisturbed run.
"""

import os
import random
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from results import same_file, same_results
from test_workflow import SMOKE, Checkout, changed, copy_of_checkout

KILLS = 20
RUN = {
    "training": {"epochs": 200},
    "checkpoints": [0, 200],
    "curvature": {"batch_sizes": [32, 128], "seeds": 2},
}
FIG6 = {"newton_steps": 150, "start_steps": 300}
OVERLAY: dict[str, Any] = {
    "scale": "faults",
    "runs": {"mlp_mnist": RUN},
    "figures": {"geometry": {"fig6": FIG6}},
}
# A segment of many epochs and a search of critical points, which both keep a state to go on from
TARGETS = (
    "results/faults/outliers/mlp_mnist/epoch-200.h5",
    "results/faults/exact/mlp_mnist/epoch-200/train/batches-0000-0005.h5",
    "results/faults/geometry/critical/newton/examples-000016/runs-0000-0039.h5",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """A copy with settings for targets of some seconds."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("faults"))
    smoke = yaml.safe_load((checkout / SMOKE).read_text())
    settings = smoke["figures"]["geometry"]["fig6"] | FIG6
    overlay = OVERLAY | {"figures": {"geometry": {"fig6": settings}}}
    (checkout / "faults.yaml").write_text(yaml.safe_dump(overlay))
    return checkout


@pytest.fixture(scope="module")
def undisturbed(checkout, tmp_path_factory) -> Path:
    """The results of a run that nothing happens to, beside the checkout."""
    checkout.run(*TARGETS, overlays=(SMOKE, "faults.yaml"))
    kept = tmp_path_factory.mktemp("undisturbed") / "faults"
    shutil.move(checkout / "results/faults", kept)
    return kept


def start(checkout: Checkout, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Snakemake in a process group of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.Popen(
        [*options.pop("before", []), *command, "--configfile", SMOKE, "faults.yaml"],
        cwd=checkout.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )


def answer(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate()
    return process.returncode, text


def kill_group(process: subprocess.Popen[str]) -> None:
    """Snakemake and all its jobs, without a chance to tidy up."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 10
    while group_lives(process.pid):
        assert time.monotonic() < end, "a job outlives the kill of its group"
        time.sleep(0.1)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def final_files(folder: Path) -> list[Path]:
    """What lies under a final name: not states, temporary files, logs."""
    return [
        path
        for suffix in ("h5", "pt", "csv")
        for path in folder.rglob(f"*.{suffix}")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and "benchmarks" not in path.parts
    ]


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(checkout, undisturbed, capsys):
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(2**32))
    with capsys.disabled():
        print(f"\n{KILLS} kills at random moments: FAULTS_SEED={seed}")
    rng = random.Random(seed)
    folder, resumed, killed, partial = checkout / "results/faults", 0, 0, 0
    while killed < KILLS:
        process, began = start(checkout, *TARGETS), time.time()
        try:
            # the start takes two or three seconds; what matters comes after it
            process.wait(rng.uniform(0.0, 10.0))
        except subprocess.TimeoutExpired:
            kill_group(process)
            killed += 1
            partial += any(folder.rglob(".state/*"))
            for path in final_files(folder):
                same_file(path, undisturbed / path.relative_to(folder))
        else:  # finished: once more from the beginning
            assert process.returncode == 0, answer(process)[1][-3000:]
            same_results(folder, undisturbed)
            shutil.rmtree(folder)
        resumed += going_on(folder, since=began)
        code, text = answer(start(checkout, "--unlock"))
        assert code == 0, text
    code, text = answer(start(checkout, *TARGETS))
    assert code == 0, text[-3000:]
    assert same_results(folder, undisturbed) >= 5
    left = [path for path in folder.rglob(".*") if path.name != ".state"]
    assert not left
    assert not list(folder.rglob(".state/*"))
    with capsys.disabled():
        print(f"{partial} of them left a state behind, {resumed} segments went on from one")


def going_on(folder: Path, since: float) -> int:
    """Trainings whose log says that they continue an interrupted one."""
    logs = [path for path in folder.rglob("*.log") if path.stat().st_mtime > since]
    return sum("going on from epoch" in path.read_text() for path in logs)


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused(checkout, undisturbed):
    shutil.rmtree(checkout / "results/faults", ignore_errors=True)
    first = start(checkout, *TARGETS)
    while not list((checkout / ".snakemake/locks").glob("*")):
        assert first.poll() is None
        time.sleep(0.1)
    code, text = answer(start(checkout, *TARGETS))
    assert code == 1
    assert "cannot be locked" in text
    assert "Traceback" not in text
    code, text = answer(first)
    assert code == 0, text[-3000:]
    same_results(checkout / "results/faults", undisturbed)


def small_files() -> None:
    """No file may grow beyond 100 kB: every larger write fails as on a full disk, for root too."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def unprivileged() -> list[str]:
    """What makes a command respect permissions although root runs it."""
    return ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


BIG = {
    "dataset": {"name": "synthetic", "shape": [100], "classes": 2, "train_examples": 50},
    "network": {"name": "mlp", "arguments": {"hidden": [1000]}},
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["full disk", "read-only folder"])
def test_what_cannot_be_written_is_a_sentence(checkout, fault):
    folder = checkout / "results/faults/checkpoints/big"
    target = "results/faults/checkpoints/big/epoch-000.pt"
    overlay = yaml.safe_load((checkout / "faults.yaml").read_text())
    smoke = yaml.safe_load((checkout / "config.yaml").read_text())["runs"]["mlp_mnist"]
    curvature = {"outliers": 1, "tolerance": 0.1, "batch_sizes": [10], "seeds": 1}
    overlay["runs"]["big"] = smoke | BIG | {"checkpoints": [0], "curvature": curvature}
    overlay["runs"]["big"].pop("exact")
    overlay["runs"]["big"]["training"] = smoke["training"] | {"batch_size": 10}
    folder.mkdir(parents=True, exist_ok=True)
    before = (checkout / "faults.yaml").read_bytes()
    (checkout / "faults.yaml").write_text(yaml.safe_dump(overlay))
    try:
        if fault == "full disk":
            process = start(checkout, target, preexec_fn=small_files)
        else:
            folder.chmod(0o555)
            process = start(checkout, target, before=unprivileged())
        code, text = answer(process)
    finally:
        if folder.exists():  # Snakemake removes an empty one
            folder.chmod(0o755)
        (checkout / "faults.yaml").write_bytes(before)
    assert code == 1
    assert f"error: cannot write {target}" in text
    assert "Traceback" not in text
    assert not any(folder.rglob("*"))


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flipped, truncated])
@pytest.mark.parametrize(
    ("name", "target"),
    [
        (
            "results/faults/checkpoints/mlp_mnist/epoch-200.pt",
            "outliers/mlp_mnist/epoch-200.h5",
        ),
        ("results/faults/outliers/mlp_mnist/epoch-000.h5", "outliers/mlp_mnist.h5"),
        # last, as it deletes what the others need
        ("data/mnist/train-images-idx3-ubyte", "checkpoints/mlp_mnist/epoch-000.pt"),
    ],
)
def test_a_damaged_input_is_named(
    checkout, name: str, target: str, damage: Callable[[bytes], bytes]
):
    units = [f"results/faults/outliers/mlp_mnist/epoch-{epoch:03d}.h5" for epoch in (0, 200)]
    checkout.run(*units, overlays=(SMOKE, "faults.yaml"))
    (checkout / f"results/faults/{target}").unlink(missing_ok=True)
    path = checkout / name
    with changed(path, damage(path.read_bytes())):
        # the times of a damaged file tell nothing: what is asked for is made from it as it is
        options = ("--rerun-triggers", "input", "--allowed-rules", *RULES_OF[target])
        code, text = answer(start(checkout, f"results/faults/{target}", *options))
    assert code == 1
    assert f"error: {name}" in text
    assert "Traceback" not in text
    assert not (checkout / f"results/faults/{target}").exists()


RULES_OF = {
    "checkpoints/mlp_mnist/epoch-000.pt": ["initialise"],
    "outliers/mlp_mnist/epoch-200.h5": ["outliers"],
    "outliers/mlp_mnist.h5": ["merge_outliers"],
}
