import pytest
import torch
from torch.nn import functional as F

from skrep.backbones import ResNet, ResNetModule

NORM = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]


def published_shapes(depth):
    """Names and shapes in the weight files of torchvision's resnet18 and resnet50, in order."""
    shapes = {}

    def conv_and_norm(conv, norm, n_out, n_in, size):
        shapes[f"{conv}.weight"] = (n_out, n_in, size, size)
        shapes.update({f"{norm}.{name}": () if name == "num_batches_tracked" else (n_out,) for name in NORM})

    sizes, expansion, n_blocks = {18: ([3, 3], 1, [2, 2, 2, 2]), 50: ([1, 3, 1], 4, [3, 4, 6, 3])}[depth]
    conv_and_norm("conv1", "bn1", 64, 3, 7)
    n_in = 64
    for stage, n in enumerate(n_blocks):
        width = 64 * 2**stage
        for block in range(n):
            name, n_out = f"layer{stage + 1}.{block}.", width * expansion
            channels = [n_in] + [width] * (len(sizes) - 1) + [n_out]
            for i, size in enumerate(sizes):
                conv_and_norm(f"{name}conv{i + 1}", f"{name}bn{i + 1}", channels[i + 1], channels[i], size)
            if block == 0 and not (depth == 18 and stage == 0):
                conv_and_norm(f"{name}downsample.0", f"{name}downsample.1", n_out, n_in, 1)
            n_in = n_out
    return shapes | {"fc.weight": (1000, n_in), "fc.bias": (1000,)}


@pytest.mark.parametrize(("depth", "n_parameters"), [(18, 11_689_512), (50, 25_557_032)])
def test_published_weights_fit(depth, n_parameters):
    with torch.device("meta"):  # shapes without weights
        network = ResNetModule(depth, 3, "imagenet", 1000)
        headless = ResNetModule(depth, 3, "imagenet", None)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert list(shapes.items()) == list(published_shapes(depth).items())
    assert sum(p.numel() for p in network.parameters()) == n_parameters
    assert list(headless.state_dict()) == list(shapes)[:-2]


def randomised(depth, stem, n_components=None):
    """A network in eval mode none of whose gains, biases and statistics is what it was at the start."""
    torch.manual_seed(0)
    network = ResNetModule(depth, 3, stem, n_components).eval()
    for value in network.state_dict().values():
        if value.ndim == 1:
            value.uniform_(0.5, 1.5)
    return network


def convolve(x, state, name, stride=1):
    """A convolution, as a sum over the positions of its kernel."""
    weight = state[f"{name}.weight"]
    size = weight.shape[2]
    x = F.pad(x, [size // 2] * 4)
    height, width = x.shape[2] - size + 1, x.shape[3] - size + 1
    return sum(
        torch.einsum("bihw,oi->bohw", x[:, :, i : i + height : stride, j : j + width : stride], weight[:, :, i, j])
        for i in range(size)
        for j in range(size)
    )


def normalise(x, state, name):
    weight, bias, mean, variance = (state[f"{name}.{key}"][:, None, None] for key in NORM[:4])
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


@torch.inference_mode()
@pytest.mark.parametrize(
    ("depth", "name", "strides"),
    [(18, "layer1.1", (1, 1)), (18, "layer2.0", (2, 1)), (50, "layer1.0", (1, 1, 1)), (50, "layer2.0", (1, 2, 1))],
)
def test_block(depth, name, strides):
    block = randomised(depth, "cifar").get_submodule(name)
    state = block.state_dict()
    x = torch.randn(2, block.conv1.in_channels, 7, 6)
    y = shortcut = x
    for i, stride in enumerate(strides, start=1):
        y = normalise(convolve(y.clamp(min=0) if i > 1 else y, state, f"conv{i}", stride), state, f"bn{i}")
    if "downsample.0.weight" in state:
        shortcut = normalise(convolve(x, state, "downsample.0", max(strides)), state, "downsample.1")
    torch.testing.assert_close(block(x), (shortcut + y).clamp(min=0), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_stem_and_head(stem):
    network = randomised(18, stem, n_components=5)
    state = network.state_dict()
    x = torch.randn(2, 3, 33, 40)
    y = normalise(convolve(x, state, "conv1", 1 if stem == "cifar" else 2), state, "bn1").clamp(min=0)
    if stem == "imagenet":
        y = F.pad(y, [1] * 4).unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))  # (2, 64, 9, 10, 3, 3) -> (2, 64, 9, 10)
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        y = stage(y)
    expected = y.flatten(2).mean(2) @ state["fc.weight"].T + state["fc.bias"]  # (2, 512) -> (2, 5)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


def test_initial_weights():
    torch.manual_seed(0)
    for depth in (18, 50):
        network = ResNetModule(depth, 3, "cifar", None)
        for name, value in network.named_parameters():
            if value.ndim == 4:
                fan_out = value.shape[0] * value.shape[2] * value.shape[3]
                assert value.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), name
            elif name.endswith("weight"):
                assert (value == 1).all(), name
            else:
                assert (value == 0).all(), name


@torch.inference_mode()
@pytest.mark.parametrize(
    ("part", "shape", "n_components", "pixels", "n_features"),
    [
        (ResNet(), (8, 8, 1), None, 1, 512),
        (ResNet(), (64, 70, 3), None, 8 * 9, 512),
        (ResNet(), (65, 70, 3), 7, 3 * 3, 7),
        (ResNet(50), (16, 24, 3), None, 2 * 3, 2048),
        (ResNet(stem="imagenet"), (32, 32, 3), None, 1, 512),
        (ResNet(stem="cifar"), (72, 72, 1), 3, 9 * 9, 3),
    ],
    ids=str,
)
def test_build(part, shape, n_components, pixels, n_features):
    network = part.build(shape, n_components).eval()
    seen = []
    network.layer4.register_forward_hook(lambda module, args, output: seen.append(output.shape[2:].numel()))
    height, width, channels = shape
    assert network(torch.zeros(2, channels, height, width)).shape == (2, n_features)
    assert seen == [pixels]


@pytest.mark.parametrize(
    ("part", "shape", "message"),
    [
        (ResNet(), (7, 28, 1), r"stem 'cifar'.*8x8.*7x28(?!.*stem=)"),
        (ResNet(stem="imagenet"), (31, 40, 3), "stem 'imagenet'.*32x32.*31x40.*stem='cifar'"),
        (ResNet(stem="imagenet"), (4, 4, 3), r"stem 'imagenet'.*32x32.*4x4(?!.*stem=)"),
        (ResNet(), (12,), r"ResNet.*\b12\b.*AsImages"),
        (ResNet(34), (32, 32, 3), r"ResNet\(depth=34\).*\b18\b.*\b50\b"),
        (ResNet("18"), (32, 32, 3), r"ResNet\(depth='18'\)"),
        (ResNet(stem="stl"), (32, 32, 3), "stem='stl'.*'cifar', 'imagenet'.*None"),
    ],
    ids=str,
)
def test_bad_values(part, shape, message):
    with pytest.raises(ValueError, match=message):
        part.build(shape, None)
