"""Every network in the zoo: its size, its output at any input size, and that it can be traced and exported."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import SegfastError
from segfast_edge.model import blocks, build, description, networks
from segfast_edge.model.normalise import Normalise
from segfast_edge.model.summary import on_meta, parameters

SMALL = [name for name in networks() if name not in ("fcn8s", "segnet")]  # quick to run on real numbers


def random_input(height, width, seed=0):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "count", "tolerance"),
    [
        ("segnet", 29_455_702, 0),
        ("fcn8s", 134_507_010, 0),
        ("segfast", 603_288, 0.01),
        ("segfast_basic", 2_965_976, 0.01),
    ],
)
def test_the_papers_networks_have_its_parameter_counts(name, count, tolerance):
    assert parameters(on_meta(name, 22)) == pytest.approx(count, rel=tolerance, abs=0)


def test_segfast_fast_stays_within_the_papers_size():
    assert parameters(on_meta("segfast_fast", 22)) <= 603_288


def test_fast_scnn_has_its_published_size():
    assert parameters(on_meta("fast_scnn", 19)) == pytest.approx(1_110_000, rel=0.03)


@pytest.mark.parametrize("size", [(16, 16), (37, 53), (224, 224), (360, 480)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("name", networks())
def test_logits_have_the_inputs_size(name, size):
    logits = on_meta(name, 5)(torch.empty(2, 3, *size, device="meta"))
    assert logits.shape == (2, 5, *size)


@pytest.mark.parametrize("name", SMALL)
def test_an_odd_size_gives_numbers_and_gradients_everywhere(name):
    network = build(name, 3)
    logits = network(torch.randn(2, 3, 37, 53))
    assert logits.isfinite().all()
    logits.square().mean().backward()
    silent = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert silent == []


@pytest.mark.parametrize("name", ["segfast", "segfast_basic", "segfast_fast"])
def test_a_size_between_multiples_is_the_padded_one_cropped(name):
    network, x = build(name, 3).eval(), random_input(37, 53)
    padded = network(F.pad(x, (0, 11, 0, 11)))
    assert torch.equal(network(x), padded[:, :, :37, :53])


@pytest.mark.parametrize("name", SMALL)
def test_a_traced_network_computes_the_same_and_gives_no_warning(name):
    network, x, other = build(name, 3).eval(), random_input(37, 53), random_input(37, 53, seed=1)
    with torch.no_grad():
        traced = torch.jit.trace(network, x, check_trace=False)
        torch.testing.assert_close(traced(other), network(other))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.export 2.13 uses parts of torch that it calls deprecated
@pytest.mark.parametrize("name", SMALL)
def test_an_exported_network_computes_the_same(name):
    network, x, other = build(name, 3).eval(), random_input(37, 53), random_input(37, 53, seed=1)
    with torch.no_grad():
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(other), network(other))


def test_bilinear_weights_make_a_transposed_convolution_interpolate():
    from segfast_edge.model.zoo.fcn8s import interpolate_bilinearly

    layer, x = nn.ConvTranspose2d(3, 3, 16, 8, bias=False), random_input(5, 6)
    interpolate_bilinearly(layer)
    whole = F.interpolate(x, scale_factor=8, mode="bilinear")
    inside = layer(x)[:, :, 8:-8, 8:-8]  # away from the ends, where interpolation repeats the border's value
    torch.testing.assert_close(inside, whole[:, :, 4:-4, 4:-4])


@torch.no_grad()
def test_initial_weights_keep_the_variance_through_grouped_and_transposed_convolutions():
    torch.manual_seed(0)
    network = nn.Sequential(blocks.separable_conv(256, 256), blocks.separable_up(256, 256)).eval()
    blocks.initialise(network)
    x = torch.randn(1, 256, 16, 16).relu()
    for stage in network:
        for layer in stage:
            before, x = x, layer(x)
            inside = x[:, :, 1:-1, 1:-1]  # away from the zero padding
            assert inside.square().mean().item() == pytest.approx(before.square().mean().item(), rel=0.35)


def test_a_dilated_depthwise_layer_learns_the_same_under_bfloat16_autocast():
    layer = blocks.depthwise(32, dilation=2)
    x = torch.randn(4, 32, 32, 32).contiguous(memory_format=torch.channels_last)
    aim = torch.randn(4, 32, 32, 32)
    gradients = []
    for autocast in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            (layer(x) * aim).sum().backward()
        gradients.append(layer.conv.weight.grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=0.02 * gradients[0].abs().max().item())


def test_normalise_is_the_formula_for_bytes_and_floats_and_has_no_weights():
    preprocess = Preprocess()
    layer = Normalise(preprocess)
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    mean = torch.tensor(preprocess.mean, dtype=torch.float64).reshape(1, 3, 1, 1)
    std = torch.tensor(preprocess.std, dtype=torch.float64).reshape(1, 3, 1, 1)
    expected = ((pixels.double() / 255 - mean) / std).float()
    torch.testing.assert_close(layer(pixels), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(layer(pixels.float()), expected, rtol=0, atol=1e-6)
    assert layer.state_dict() == {}


def test_listing_networks_imports_no_torch():
    code = (
        "import sys; from segfast_edge.model import description, networks;"
        "assert all(len(description(name)) > 10 for name in networks());"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_network_gets_the_nearest_name():
    with pytest.raises(SegfastError, match=r"unknown model 'segfats'. Did you mean 'segfast'\?"):
        build("segfats", 3)
    with pytest.raises(SegfastError, match="unknown model"):
        description("resnet")


@pytest.mark.parametrize("classes", [-1, 0, 1, 256])
def test_a_class_count_out_of_range_is_refused(classes):
    with pytest.raises(SegfastError, match=f"got {classes} classes; expected 2 to 255"):
        build("segfast", classes)


OWN_NETWORK = """
from torch import nn
number = 3
def make(classes): return nn.Conv2d(3, classes, 1)
def wrong(classes): return "not a network"
"""


def test_a_users_own_factory_is_found_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(OWN_NETWORK)
    (tmp_path / "own_broken.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert build("own_network:make", 4).out_channels == 4
    for name, says in [
        ("own_network:nothing", "own_network has no function 'nothing'"),
        ("own_network:number", "own_network has no function 'number'"),
        ("own_network:wrong", "gave a str; expected a torch.nn.Module"),
        ("own_netwrk:make", "no module 'own_netwrk' on the import path"),
        ("own_network.deeper:make", "no module"),
        (":make", "not of the form package.module:factory"),
    ]:
        with pytest.raises(SegfastError, match=says):
            build(name, 4)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        build("own_broken:make", 4)


def test_segfast_lite_stays_under_a_million_parameters():
    assert parameters(on_meta("segfast_lite", 22)) < 1_000_000
