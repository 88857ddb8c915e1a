"""What a job costs, from its rule and its run's settings: measured seconds per unit of work.

    seconds(job) = start of the job + sum over its parts of (seconds per unit) x (units of work)

The constants were set by hand to the wall times of a run of scale `laptop` (one thread per job, two
jobs at once on two cores of a cloud machine, x86-64): 254 jobs of 1 to 136 seconds. A unit is what
the work grows with there: an example trained on, a product with a Hessian, d^2 or P^3 of an
eigenproblem. What an example costs a convolutional network is a sum over its multiply-adds and over
the outputs of its convolutions and BatchNorm, which dominate in small networks. No large network
and no GPU was among them: there a plan is a guess of the order of magnitude. docs/cluster.md has
the errors; `python -m hessian_rmt.plan` compares with any run's own times.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from hessian_rmt.data.catalogue import KNOWN

# Seconds that a job takes before it works, with and without torch; both load and check the data.
START_TORCH, START = 2.3, 1.0
# Memory in MB of a job before it works.
MEMORY_TORCH, MEMORY = 450.0, 120.0
# A training step or a product by convolutions, in seconds by an example's multiply-adds and by the
# outputs of convolutions and BatchNorm, which is what small networks cost by.
SECONDS_PER_MULTIPLY_ADD, SECONDS_PER_OUTPUT = 1.2e-10, 1.3e-8
# What the graph of a gradient holds by such an output, and how much more a product takes that
# builds its graphs anew
BYTES_PER_OUTPUT, STREAMED = 12.0, 1.5
# What a job may take beyond its estimate, and what the scheduler and a cold disk may add.
MARGIN, ALLOWANCE_MINUTES = 4.0, 10.0


@dataclass(frozen=True)
class Cost:
    """Seconds on one core, and MB of memory."""

    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Size:
    """A run in numbers: training and test examples, parameters; an example's multiply-adds and the
    outputs of its convolutions and BatchNorm."""

    train: int
    test: int
    inputs: int
    parameters: int
    multiply_adds: float
    outputs: float
    convolutional: bool

    @property
    def seconds_per_example(self) -> float:
        """Seconds per example of a training step."""
        if self.convolutional:
            return SECONDS_PER_MULTIPLY_ADD * self.multiply_adds + SECONDS_PER_OUTPUT * self.outputs
        return 1.7e-5 + 5e-11 * self.multiply_adds


def cost_of(rule: str, wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost | None:
    """The cost of a job, or None where its rule was never measured."""
    if rule in _OF_RUNS:
        run = config["runs"][wildcards["run"]]
        return _OF_RUNS[rule](run, size_of(run, config["runs"]), wildcards, config)
    if rule in _OF_FIGURES:
        return _OF_FIGURES[rule](wildcards, config)
    return Cost(1.6, 150.0) if is_brief(rule) else None


def is_brief(rule: str) -> bool:
    """Whether a rule reads small files and writes small ones: figures, tables, mergers."""
    return (rule.startswith(_FIGURES_AND_TABLES) and rule not in _OF_FIGURES) or rule in _BRIEF


def runtime_minutes(
    rule: str, wildcards: Mapping[str, str], config: Mapping[str, Any], attempt: int
) -> int:
    """The limit of time to ask for: the estimate with a margin, doubled with each attempt."""
    cost = cost_of(rule, wildcards, config)
    minutes = (cost.seconds if cost else 1800.0) * MARGIN / 60 + ALLOWANCE_MINUTES
    return round(minutes * 2 ** (attempt - 1))


# Sizes --------------------------------------------------------------------------------------------


def size_of(run: Mapping[str, Any], runs: Mapping[str, Any]) -> Size:
    """A run's size from its settings alone; a user's own network counts as one of 100,000."""
    dataset = run["dataset"]
    if dataset["name"] == "embeddings":
        behind = size_of(runs[dataset["run"]], runs)
        shape: tuple[int, ...] = (_features(runs[dataset["run"]]["network"]),)
        train, test, classes = behind.train, behind.test, 10
    elif known := KNOWN.get(dataset["name"]):
        side = 28 if len(known.mean) == 1 else 32
        side = dataset.get("image_size", 224 if dataset["name"] == "imagenet" else side)
        shape = (len(known.mean), side, side)
        train, test, classes = known.train_examples, known.test_examples, known.classes
    else:
        shape = tuple(dataset.get("shape", (1, 28, 28)))
        train, test, classes = 10000, 2000, dataset.get("classes", 10)
    train = dataset.get("train_examples", train) - dataset.get("held_out", 0)
    test = dataset.get("held_out") or dataset.get("test_examples", test)
    network = run["network"]
    layers = _layers(network, shape, classes)
    return Size(
        train,
        test,
        prod(shape),
        layers.parameters,
        layers.multiply_adds,
        layers.outputs,
        network["name"] != "mlp",
    )


class _Layers:
    """Parameters, multiply-adds and, of convolutions and BatchNorm, the outputs of an example."""

    def __init__(self) -> None:
        self.parameters, self.multiply_adds, self.outputs = 0, 0.0, 0.0

    def known(self, parameters: int, multiply_adds: float, outputs: float) -> None:
        self.parameters, self.multiply_adds, self.outputs = parameters, multiply_adds, outputs

    def linear(self, inputs: int, outputs: int) -> None:
        self.parameters += (inputs + 1) * outputs
        self.multiply_adds += inputs * outputs

    def convolution(
        self, inputs: int, outputs: int, kernel: int, pixels: int, *, bias: bool = True
    ) -> None:
        weights = kernel**2 * inputs * outputs
        self.parameters += weights + (outputs if bias else 0)
        self.multiply_adds += weights * pixels
        self.outputs += outputs * pixels

    def batch_norm(self, channels: int, pixels: int) -> None:
        self.parameters += 2 * channels
        self.outputs += channels * pixels


def _layers(network: Mapping[str, Any], shape: tuple[int, ...], classes: int) -> _Layers:
    """An example's way through the network; a network of a user's own is one of 100,000."""
    arguments, layers = network.get("arguments", {}), _Layers()
    match network["name"]:
        case "mlp":
            widths = [prod(shape), *arguments["hidden"], classes]
            for inputs, outputs in pairwise(widths):
                layers.linear(inputs, outputs)
        case "preresnet" | "wide_resnet":
            _residual_layers(layers, network["name"], arguments, shape, classes)
        case "vgg":
            _vgg_layers(layers, arguments, shape, classes)
        case "resnet34_imagenet":
            layers.known(21_800_000, 3.6e9, 7.5e6)
        case "imagenet_resnet" if arguments.get("architecture") == "wide_resnet101_2":
            layers.known(126_900_000, 2.3e10, 4.2e7)
        case "imagenet_resnet":
            layers.known(25_600_000, 4.1e9, 2.2e7)
        case _:
            layers.known(100_000, 1e7, 1e5)
    return layers


def _residual_layers(
    layers: _Layers, name: str, arguments: Mapping[str, Any], shape: tuple[int, ...], classes: int
) -> None:
    """Three stages of `networks.preresnet` (bottlenecks) or `networks.wide_resnet`."""
    width, side = arguments.get("width", 16), shape[-1]
    wide = name == "wide_resnet"
    if wide:
        blocks = (arguments.get("depth", 28) - 4) // 6
        widening, expansion = arguments.get("widening", 10), 1
    else:
        blocks, widening, expansion = arguments.get("blocks", 12), 1, 4
    layers.convolution(shape[0], width, 3, side**2, bias=wide)
    channels = width
    for stage in range(3):
        inner = widening * width << stage
        for block in range(blocks):
            before = side**2
            side = (side + 1) // 2 if stage > 0 and block == 0 else side
            out, after = expansion * inner, side**2
            layers.batch_norm(channels, before)
            layers.convolution(channels, inner, 3 if wide else 1, before, bias=wide)
            layers.batch_norm(inner, before)
            layers.convolution(inner, inner, 3, after, bias=wide)
            if not wide:
                layers.batch_norm(inner, after)
                layers.convolution(inner, out, 1, after, bias=False)
            if channels != out or before != after:
                layers.convolution(channels, out, 1, after, bias=wide)
            channels = out
    layers.batch_norm(channels, side**2)
    layers.linear(channels, classes)


def _vgg_layers(
    layers: _Layers, arguments: Mapping[str, Any], shape: tuple[int, ...], classes: int
) -> None:
    channels, side = shape[0], shape[-1]
    for number, widening in zip(
        arguments.get("convolutions", (2, 2, 3, 3, 3)), (1, 2, 4, 8, 8), strict=False
    ):
        for _ in range(number):
            wider = arguments.get("width", 64) * widening
            layers.convolution(channels, wider, 3, side**2)
            if arguments.get("batch_norm", False):
                layers.batch_norm(wider, side**2)
            channels = wider
        side = max(1, side // 2)
    for outputs in (channels, channels, classes):
        layers.linear(channels, outputs)


def _features(network: Mapping[str, Any]) -> int:
    """The number of inputs of the last linear layer."""
    if network["name"] == "preresnet":
        return 16 * network["arguments"].get("width", 16)
    return 512


# Rules of runs ------------------------------------------------------------------------------------

_OfRun = Callable[[Mapping[str, Any], Size, Mapping[str, str], Mapping[str, Any]], Cost]


def _torch(seconds: float, memory_mb: float = 0.0) -> Cost:
    return Cost(START_TORCH + seconds, MEMORY_TORCH + memory_mb)


def _images_mb(size: Size) -> float:
    """The data set in float32, once more while it is read."""
    return 1e-5 * size.inputs * size.train / 4


def _train(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    epochs = run["checkpoints"]
    epoch = int(wildcards["epoch"])
    before = max((e for e in epochs if e < epoch), default=0)
    # each epoch is evaluated on the test examples: a forward pass
    work = (epoch - before) * (size.train + size.test / 3) * size.seconds_per_example
    graph = run["training"]["batch_size"] * BYTES_PER_OUTPUT * size.outputs / 2**20
    return _torch(work, _images_mb(size) + min(graph, run["compute"]["memory_mb"]))


def _initialise(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    return _torch(size.train * size.seconds_per_example / 20, _images_mb(size))


def _embeddings(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    return _torch((size.train + size.test) * size.seconds_per_example / 3, _images_mb(size))


def _outliers(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    """Examples in products: the convolutional networks' number of products is a guess."""
    curvature = run["curvature"]
    parts = wildcards["unit"].split("/")
    sizes, seeds = curvature["batch_sizes"], curvature["seeds"]
    if len(parts) > 1:
        sizes = [int(parts[1].removeprefix("batch-"))]
    if len(parts) > 2:
        seeds = 1
    each = 70 * size.seconds_per_example if size.convolutional else 1.75e-4
    each *= 2 if curvature["precision"] == "float64" else 1
    return _torch(seeds * sum(sizes) * each, _images_mb(size) + 100)


def _exact(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    """Reduced: d^2, d the dimension behind the inputs' span; plain and full: P^3, P^2 examples."""
    what, numbers = (wildcards["spectra"] + "-").split("-", 1)
    p = size.parameters
    if what == "full":
        examples = size.train if wildcards["part"] == "train" else size.test
        work = 4e-11 * p**3 + 2.45e-11 * p**2 * examples
        return _torch(work, 1.5e-5 * p**2 + _images_mb(size))
    if what == "solvers":
        return _torch(1.1e-9 * p**3, 2.5e-5 * p**2)
    first, last = (int(number) for number in numbers.split("-")[:2])
    batches = last - first + 1
    if what == "plain":
        return _torch(5.8e-11 * p**3 * batches, 1.65e-5 * p**2)
    d = reduced_dimension(run, size)
    return _torch(1.3e-7 * d**2 * batches, 4e-6 * d**2 + _images_mb(size))


def reduced_dimension(run: Mapping[str, Any], size: Size) -> int:
    """Parameters of a perceptron whose first layer sees a batch's span alone."""
    hidden = run["network"].get("arguments", {}).get("hidden", [])
    span = min(run["exact"]["batch_size"] + 1, size.inputs + 1)
    first = hidden[0] if hidden else 10
    return span * first + size.parameters - (size.inputs + 1) * first


def _noise(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    noise, p = run["noise"], size.parameters
    matrices = len(noise["batch_sizes"]) * noise["seeds"]
    return _torch(1.9e-7 * matrices * p**2, 7e-5 * p**2)


def _extreme(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    """Lanczos with full reorthogonalisation, and its products."""
    extreme, batch = run["extreme"], int(wildcards["sample"].split("-")[1])
    products = extreme["products"]
    work = 1.35e-10 * products**2 * size.parameters
    work += products * batch * 3 * (size.seconds_per_example if size.convolutional else 1e-6)
    return _torch(work, 5e-6 * products * size.parameters)


def _density(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    """Products over the sample, from a kept graph where it fits; a batch's noise takes as many."""
    density, (kind, *numbers) = run["density"], wildcards["sample"].split("-")
    steps, examples = density["steps"] * density["probes"], size.train
    if kind == "augmented":
        copies = int(numbers[0])
        steps = next(s["steps"] for s in density["augmented"] if s["copies"] == copies)
        examples *= copies
    if kind == "draw":
        steps, examples = 2 * density["draws"]["steps"], int(numbers[0])
    kept = 2 * examples * BYTES_PER_OUTPUT * size.outputs <= run["compute"]["memory_mb"] * 2**20
    each = size.seconds_per_example if size.convolutional else 6e-6
    each *= 1.0 if kept and kind != "augmented" else STREAMED
    return _torch(steps * examples * each + 1e-9 * steps**2 * size.parameters, density["memory_mb"])


def _iterates(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], _: Mapping[str, Any]
) -> Cost:
    return _torch(len(run["checkpoints"]) * size.test * size.seconds_per_example, _images_mb(size))


def _local_statistics(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], config: Mapping[str, Any]
) -> Cost:
    replicates, batches = config["local_tests"]["replicates"], run["exact"]["batches"]
    return Cost(START + 7e-4 * replicates * min(batches, 60) + 1.2e-2 * replicates, MEMORY)


def _rigidity(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], config: Mapping[str, Any]
) -> Cost:
    """Spectra of the signal, 20 matrices at most, by replicate and level."""
    exact = run["exact"]
    plain = exact["plain_batches"] if wildcards["part"] in exact["plain_parts"] else 0
    matrices = min(exact["batches"], 20) + plain
    replicates = config["local_tests"]["replicates"]
    levels = min(reduced_dimension(run, size), 3000)
    return Cost(START + 6e-6 * matrices * replicates * levels, MEMORY)


def _outlier_fits(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], config: Mapping[str, Any]
) -> Cost:
    epochs, bootstrap = len(run["checkpoints"]), config["outlier_fits"]["bootstrap"]
    return Cost(START + 5e-3 * epochs * bootstrap, 80.0)


def _noise_statistics(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], config: Mapping[str, Any]
) -> Cost:
    return Cost(START + 0.055 * config["local_tests"]["replicates"], 230.0)


def _extreme_statistics(
    run: Mapping[str, Any], size: Size, wildcards: Mapping[str, str], config: Mapping[str, Any]
) -> Cost:
    return Cost(START + 4e-3 * config["local_tests"]["replicates"], MEMORY)


_OF_RUNS: dict[str, _OfRun] = {
    "initialise": _initialise,
    "train": _train,
    "embeddings": _embeddings,
    "outliers": _outliers,
    "exact": _exact,
    "noise": _noise,
    "extreme": _extreme,
    "density": _density,
    "iterates": _iterates,
    "local_statistics": _local_statistics,
    "rigidity": _rigidity,
    "outlier_fits": _outlier_fits,
    "noise_statistics": _noise_statistics,
    "extreme_statistics": _extreme_statistics,
}

# Rules of figures ---------------------------------------------------------------------------------


def _critical_points(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    """Runs x steps; products with matrices of the examples take over beyond a hundred."""
    fig6, arm = config["figures"]["geometry"]["fig6"], wildcards["arm"]
    runs = int(wildcards["last"]) - int(wildcards["first"]) + 1
    examples = (int(wildcards["examples"]) / 128) ** 2 * (fig6["width"] / 16) ** 2
    per_step = {
        "newton": 1.4e-3 * (1 + examples),
        "refined": 2.5e-3 * (1 + examples / 4),
        "descent": 5e-5 * (1 + examples),
        "minimum": 2.2e-3 * (1 + examples / 4),
        "linear": 3e-4 * (1 + examples),
    }[arm]
    steps = fig6["newton_steps" if arm == "linear" else f"{arm}_steps"]
    return Cost(START / 2 + per_step * runs * steps, 90.0)


def _critical_fits(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    fig6 = config["figures"]["geometry"]["fig6"]
    return Cost(START + 8e-3 * fig6["bootstrap"] * len(fig6["examples"]), 130.0)


def _autoencoder_spectra(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    figure = wildcards["figure"]
    settings = config["figures"]["geometry"][figure]
    seconds = {
        "fig2": lambda: 4.25e-4 * settings["max_steps"],
        "fig3": lambda: 0.28 * settings["samples"],
        "fig4": lambda: 0.04 * settings["samples"],
        "fig5": lambda: 0.016 * settings["samples"] * len(settings["examples"]),
    }[figure]()
    return Cost(START + seconds, 250.0)


def _ensembles(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    """Sampled matrices of this size, of every pair or degree."""
    figure = {"pairs": "fig4", "graphs": "fig5"}[wildcards["sums"]]
    settings = config["figures"]["universality"][figure]
    per_matrix = {"pairs": 1.1, "graphs": 0.24}[wildcards["sums"]] * (settings["size"] / 500) ** 3
    return Cost(START + per_matrix * settings["samples"], 150.0)


def _gaussian_process(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    settings = config["gaussian_process"]
    work = 0.41 * settings["samples"] * (settings["size"] / 300) ** 3
    return Cost(START + work * len(settings["k2"]) / 5, 425.0)


def _concentration(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    settings = config["figures"]["universality"]["figX3"]
    cubes = sum(size**3 for size in settings["sizes"])
    return Cost(START + 1.45e-9 * cubes * settings["samples"], 125.0)


def _spiked_goe(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    figure = config["figures"]["deep_learning_limit"]["figX1"]
    matrices = figure["samples"] * len(figure["ratios"]) * len(figure["strengths"])
    return Cost(START + 6e-7 * matrices * sum(figure["sizes"]), 125.0)


def _budget_statistics(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    return Cost(START + 3e-3 * config["figures"]["applicability"]["fig8"]["bootstrap"], 150.0)


def _averaging_theorems(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    figure = config["figures"]["applicability"]["figX3"]
    work = sum(figure["steps"]) * len(figure["learning_rates"]) * figure["samples"]
    return Cost(START + 2.5e-8 * work * figure["dimension"], 200.0)


def _index_imagenet(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
    return Cost(1800.0, 500.0)


def _geometry_laws(figure: str) -> Callable[[Mapping[str, str], Mapping[str, Any]], Cost]:
    def cost(wildcards: Mapping[str, str], config: Mapping[str, Any]) -> Cost:
        settings = config["figures"]["geometry"][figure]
        matrices = settings["samples"] * len(settings["ratios"]) * 4
        return Cost(START + 2.2e-2 * matrices * (settings["size"] / 300) ** 3, 140.0)

    return cost


_OF_FIGURES: dict[str, Callable[[Mapping[str, str], Mapping[str, Any]], Cost]] = {
    "critical_points": _critical_points,
    "critical_fits": _critical_fits,
    "autoencoder_spectra": _autoencoder_spectra,
    "ensembles": _ensembles,
    "gaussian_process": _gaussian_process,
    "concentration": _concentration,
    "geometry_densities": _geometry_laws("fig1"),
    "geometry_indices": _geometry_laws("figX1"),
    "spiked_goe": _spiked_goe,
    "budget_statistics": _budget_statistics,
    "averaging_theorems": _averaging_theorems,
    "index_imagenet": _index_imagenet,
}
_BRIEF = {
    "merge_outliers",
    "training_table",
    "provenance",
    "timeline",
    "density_draws",
    "density_augmented",
    "averaging_statistics",
    "claims",
    "claims_table",
    "front_page",
}
_FIGURES_AND_TABLES = tuple(
    f"{paper}_{kind}"
    for paper in ("universality", "applicability", "geometry", "deep_learning_limit")
    for kind in ("fig", "table", "atlas")
)


# Disk ---------------------------------------------------------------------------------------------


def disk_mb(
    rule: str, wildcards: Mapping[str, str], config: Mapping[str, Any], outputs: Sequence[str]
) -> float:
    """MB that a job's outputs take: what is stored of a run's numbers, else a tenth of one each."""
    if rule not in _OF_RUNS or wildcards["run"] not in config["runs"]:
        return 0.1 * len(outputs)
    run = config["runs"][wildcards["run"]]
    size = size_of(run, config["runs"])
    match rule:
        case "initialise":
            return 4e-6 * size.parameters
        case "train":  # momentum beside the weights
            return 8e-6 * size.parameters
        case "embeddings":
            return 4e-6 * _features(run["network"]) * (size.train + size.test)
        case "exact":
            numbers = (wildcards["spectra"] + "-").split("-", 1)[1].split("-")[:2]
            batches = int(numbers[1]) - int(numbers[0]) + 1 if numbers[-1] else 1
            return 2e-5 * size.parameters * batches
        case "extreme":
            return 5e-5 * run["extreme"]["products"]
    return 0.2 * len(outputs)
