"""ImageNet's reader on a small folder: decoded on demand, seeded crops, clear mistakes."""

import numpy as np
import pytest
import torch
from PIL import Image

from hessian_rmt.data.feeding import Inputs
from hessian_rmt.data.image_folder import ImageFiles, index_rows, random_box, read_split
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.errors import UserError
from hessian_rmt.networks import build_network
from hessian_rmt.storage import write_csv
from hessian_rmt.training import initial_checkpoint, train_segment
from test_training import Quiet, same

CLASSES, TRAIN, VAL = 3, 8, 2


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    for split, count in (("train", TRAIN), ("val", VAL)):
        for label in range(CLASSES):
            place = tmp_path / split / f"n0{label}"
            place.mkdir(parents=True)
            for i in range(count):
                size = rng.integers(40, 70, size=2)
                pixels = rng.integers(0, 100, size=(*size, 3)) + 70 * (np.arange(3) == label)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i}.png")
            (place / "notes.txt").write_text("no image")
    write_csv(tmp_path / "index.csv", ("split", "label", "path"), index_rows(tmp_path))
    return tmp_path


def files(folder, **options) -> ImageFiles:
    return ImageFiles(read_split(folder, "train")[0], size=28, **options)


def test_the_index_holds_every_image_once_in_a_mixed_order(folder):
    paths, labels = read_split(folder, "train")
    assert len(set(paths)) == len(paths) == CLASSES * TRAIN
    assert all(path.parent.name == f"n0{label}" for path, label in zip(paths, labels, strict=True))
    assert np.any(np.diff(labels) < 0), "not class by class"
    assert index_rows(folder) == index_rows(folder)


def test_images_are_resized_cropped_at_the_centre_and_standardised(folder):
    plain = files(folder, standardise=False)
    batch = plain[np.array([4, 2])]
    assert (batch.dtype, batch.shape) == (np.float32, (2, 3, 28, 28))
    assert plain.shape == (CLASSES * TRAIN, 3, 28, 28)
    image = Image.open(read_split(folder, "train")[0][4])
    side = 32 / min(image.size)
    image = image.resize([max(32, round(n * side)) for n in image.size], Image.Resampling.BILINEAR)
    left, top = (image.width - 28) // 2, (image.height - 28) // 2
    expected = np.asarray(image.crop((left, top, left + 28, top + 28)), np.float32) / 255
    np.testing.assert_allclose(batch[0], expected.transpose(2, 0, 1), rtol=1e-6)
    np.testing.assert_array_equal(plain[2:4], plain[np.array([2, 3])])
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    by_channel = (batch - mean[:, None, None]) / deviation[:, None, None]
    np.testing.assert_allclose(files(folder)[np.array([4, 2])], by_channel, atol=1e-5)


def test_random_crops_depend_on_their_seed_alone(folder):
    images, numbers = files(folder), np.array([0, 1, 2, 3])
    crops = images.cropped(numbers, [10, 11, 12, 13])
    np.testing.assert_array_equal(crops[[2, 0]], images.cropped(numbers[[2, 0]], [12, 10]))
    assert not np.array_equal(crops[0], images.cropped(numbers[:1], [11])[0])


def test_boxes_lie_inside_and_have_the_area_and_shape_of_the_recipe():
    rng = np.random.default_rng(5)
    boxes = np.array([random_box(200, 150, rng) for _ in range(2000)])
    left, top, right, bottom = boxes.T
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 200
    assert bottom.max() <= 150
    width, height = right - left, bottom - top
    assert np.all((width * height >= 0.075 * 30000) & (width * height <= 30000))
    assert np.all((width / height > 0.74) & (width / height < 1.36))
    assert random_box(10, 4000, rng)[0] == 0, "an image of another shape is cropped at the centre"


def training(folder, **changes):
    chosen = {
        "seed": 3,
        "dataset": {"name": "imagenet", "image_size": 28},
        "network": {"name": "imagenet_resnet", "arguments": {"architecture": "resnet50"}},
        "training": {
            **{"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "schedule": "constant"},
            **{"momentum": 0.9, "weight_decay": 0.0, "augmentation": "resized_crop"},
            **{"loss": "cross_entropy", "average_from": 1},
        }
        | changes,
        "compute": {"threads": 1, "device": "cpu"},
    }
    chosen["network"] = {"name": "mlp", "arguments": {"hidden": [5]}}
    return chosen, load_dataset(chosen["dataset"], folder)


def test_trained_on_as_any_other_data_and_resumed_to_the_bit(folder):
    chosen, data = training(folder)
    assert (data.kind, data.classes, data.input_shape) == ("ImageNet", CLASSES, (3, 28, 28))
    assert len(data.held_out_targets) == CLASSES * VAL
    start = initial_checkpoint("run", chosen, data)
    whole = train_segment("run", chosen, data, start, 2, Quiet())
    start = initial_checkpoint("run", chosen, data)
    half = train_segment("run", chosen, data, start, 1, Quiet())
    assert same(train_segment("run", chosen, data, half, 2, Quiet()), whole)
    assert len(whole.average["history"]) == 2


def test_batches_of_files_are_those_of_the_array(folder):
    images = files(folder)
    array = images[:]
    numbers = torch.tensor([5, 0, 7])
    for size in (4, 100):
        pairs = [Inputs(source, torch.device("cpu")) for source in (images, array)]
        assert torch.equal(*(inputs.batch(numbers) for inputs in pairs))
        streams = [list(inputs.in_order(size)) for inputs in pairs]
        assert all(map(torch.equal, *streams))


@pytest.mark.parametrize("augmentation", ["flip_crop"])
def test_augmentations_of_arrays_are_refused(folder, augmentation):
    chosen, data = training(folder, augmentation=augmentation)
    with pytest.raises(UserError, match="resized_crop is for ImageNet"):
        initial_checkpoint("run", chosen, data)


def test_what_to_put_where(tmp_path):
    with pytest.raises(UserError, match=r"ILSVRC2012_img_train\.tar") as caught:
        index_rows(tmp_path / "imagenet")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"run `snakemake .*index\.csv`"):
        load_dataset({"name": "imagenet"}, tmp_path)


def test_a_damaged_image_is_named(folder):
    path = read_split(folder, "train")[0][3]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=rf"{path.name} cannot be read as an image"):
        files(folder)[:]


@pytest.mark.parametrize(
    ("architecture", "count"), [("resnet50", 25_557_032), ("wide_resnet101_2", 126_886_696)]
)
def test_parameters_of_the_papers_networks(architecture, count):
    with torch.device("meta"):
        settings = {"name": "imagenet_resnet", "arguments": {"architecture": architecture}}
        network = build_network(settings, (3, 224, 224), 1000, seed=0)
    assert sum(p.numel() for p in network.parameters()) == count
